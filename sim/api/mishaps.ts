// Carrying out what a scenario wants to go wrong before a call.

import { SimFault, type SimMishap } from '../machine/types.ts'
import type { Front } from './front.ts'
import { answerStatus, type Exchange } from './http.ts'
import type { Session } from './sessions.ts'

/**
 * Delays, drops, answers or faults as the scenario says.
 * @returns 'answered' when the exchange is over; a mishap that the call itself must know of; or null
 * @throws SimFault
 */
export async function meetMishap(
  front: Front,
  { call, exchange, session }: { readonly call: string; readonly exchange: Exchange; readonly session: Session | null },
): Promise<SimMishap | null | 'answered'> {
  const mishap = front.scenario.faultBefore(call)
  switch (mishap?.kind) {
    case undefined:
      return null
    case 'fault':
      throw new SimFault(mishap.fault, mishap.message, mishap.properties)
    case 'delay':
      await front.clock.sleep(mishap.delayMs, { signal: exchange.signal })
      return null
    case 'drop-connection':
      exchange.request.socket.destroy()
      return 'answered'
    case 'expire-session':
      if (session !== null) front.sessions.end(session)
      return null
    case 'http-status':
      answerStatus(exchange, mishap.status)
      return 'answered'
    default:
      return mishap ?? null
  }
}
