// The first transport of the policy's order that opens a disk; why the others did not is logged and kept.

import { BackupError, messageOf, quote } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { TransportName } from '../model/policy.ts'
import type { DiskAccess } from '../ports/disk.ts'
import type { Log } from '../ports/log.ts'
import type { DiskRequest, Transport } from '../ports/transport.ts'

export type ChosenTransport = { readonly name: Transport['name']; readonly access: DiskAccess }

export type TransportChoice = {
  readonly order: readonly TransportName[]
  readonly transports: readonly Transport[]
  readonly log: Log
}

/**
 * Opens the disk once by each transport until one can. Image files, which no policy names, come first.
 * @throws BackupError `no-transport` with every reason; it may pass when one of the failures may
 */
export async function chooseTransport(
  request: DiskRequest,
  choice: TransportChoice,
  cancel: Cancel,
): Promise<ChosenTransport> {
  const { label, capacityBytes } = request.disk
  const reasons: string[] = []
  const causes: unknown[] = []
  const refuse = (name: string, reason: string) => {
    reasons.push(`${name}: ${reason}`)
    choice.log.warn('transport.refused', { disk: label, transport: name, reason })
  }
  for (const name of ['image' as const, ...choice.order]) {
    const transport = choice.transports.find((candidate) => candidate.name === name)
    if (transport === undefined) {
      if (name !== 'image') refuse(name, 'not available here')
      continue
    }
    const refusal = transport.refusal(request)
    if (refusal !== null) {
      refuse(name, refusal)
      continue
    }
    try {
      // Closed again at once: each open disk is a connection to its host, and those are counted.
      await using source = await transport.open(request, cancel)

      if (source.capacityBytes === capacityBytes) return { name, access: source.access }
      refuse(name, `it gives ${source.capacityBytes} bytes, the disk has ${capacityBytes}`)
    } catch (error) {
      cancel.signal.throwIfAborted()
      causes.push(error)
      refuse(name, messageOf(error))
    }
  }
  throw noTransport(request, { reasons, causes })
}

function noTransport(
  request: DiskRequest,
  why: { readonly reasons: readonly string[]; readonly causes: readonly unknown[] },
): BackupError {
  const { label, fileName } = request.disk
  const passing = why.causes.some((cause) => cause instanceof BackupError && cause.retry === 'later')
  const hint = why.causes.find((cause) => cause instanceof BackupError && cause.hint !== undefined)
  return new BackupError(
    `Cannot open disk ${quote(label)} (${quote(fileName)}) by any transport: ${why.reasons.join('; ')}`,
    {
      code: 'no-transport',
      retry: passing ? 'later' : 'no',
      hint:
        (hint instanceof BackupError ? hint.hint : undefined) ??
        'Name a transport in the policy that can read this disk',
      facts: { disk: label, reasons: why.reasons },
      cause: why.causes[0],
    },
  )
}
