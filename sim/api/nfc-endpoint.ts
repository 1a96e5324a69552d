// /nfc/<ticket>/<file>: the disks of a lease, a stream each. The ticket is all that is asked for: a host that serves it knows no session
// of the vCenter. No ranges: a stream is read from its start.

import { MiB } from '../../lib/base/bytes.ts'
import { streamVmdk } from '../machine/stream-vmdk.ts'
import { SimFault } from '../machine/types.ts'
import type { Front } from './front.ts'
import { answer, answerStatus, drained, type Exchange } from './http.ts'
import { fileMeter, type Lease, type LeasedDisk } from './leases.ts'
import { meetMishap } from './mishaps.ts'

/** As of a file that is sent whole. */
const BUFFER_BYTES = MiB

export async function nfcEndpoint(front: Front, exchange: Exchange): Promise<void> {
  try {
    const mishap = await meetMishap(front, { call: '/nfc', exchange, session: null })
    if (mishap === 'answered') return
    if (exchange.request.method !== 'GET') return answerStatus(exchange, 405)
    const [, , ticket = '', targetId = ''] = exchange.url.pathname.split('/')
    const lease = front.leases.byTicket(ticket)
    const disk = lease?.disk(targetId) ?? null
    if (lease === null || disk === null || lease.state() !== 'ready') return answerStatus(exchange, 404)
    await send(front, exchange, { lease, disk, lie: mishap?.kind ?? null })
  } catch (error) {
    if (exchange.signal.aborted && !(error instanceof SimFault)) return
    if (exchange.response.headersSent) return void exchange.response.destroy()
    if (!(error instanceof SimFault)) throw error
    answer(exchange, { status: 500, type: 'text/plain', body: `${error.fault}: ${error.message}\n` })
  }
}

type Sent = { readonly lease: Lease; readonly disk: LeasedDisk; readonly lie: string | null }

/** Where the machine is now. */
function hostOf({ world }: Front, { entity }: Lease): string {
  const owner = world.find(entity.id)
  return owner?.kind === 'machine' ? owner.place.host : 'unknown'
}

/** A connection and its buffer, as long as the stream lasts. @throws SimFault where hosts have no more of them */
async function send(front: Front, exchange: Exchange, { lease, disk, lie }: Sent): Promise<void> {
  const { response, signal } = exchange
  const { peaks } = front.world.estate
  using _connection = peaks.read({ host: hostOf(front, lease), lengthBytes: BUFFER_BYTES })

  // Chunked: a server does not know how long a stream will be.
  response.writeHead(200, { 'Content-Type': 'application/x-vnd.vmware-streamVmdk' })
  const meter = fileMeter()
  const pieces = streamVmdk({ ...disk, misplacedGrain: lie === 'other-bytes' ? 2 : null })
  // A short body ends cleanly, without the tables: only the format tells.
  const piecesMax = lie === 'short-body' ? 3 : Number.POSITIVE_INFINITY
  let sent = 0
  for (const piece of pieces) {
    if (sent++ >= piecesMax) break
    if ((await meetMishap(front, { call: '/nfc piece', exchange, session: null })) === 'answered') return
    signal.throwIfAborted()
    if (lease.state() !== 'ready') return void response.destroy()
    meter.add(piece)
    if (!response.write(piece)) await drained(response)
  }
  response.end()
  if (sent <= piecesMax) lease.sent(disk, meter.done())
}
