// Transport `lease`: ExportSnapshot gives each disk as a stream-optimized VMDK over HTTPS, without VDDK. The server resolves
// the chain below the snapshot, so snapshots of others are no obstacle. A disk is always read whole.

import type { IncomingMessage } from 'node:http'
import { BackupError } from '../../base/errors.ts'
import { anySignal, type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { VmDisk } from '../../model/vm.ts'
import type { DiskRequest, Transport } from '../../ports/transport.ts'
import { type DeviceUrl, type ExportLease, openExportLease } from './export-lease.ts'
import { type HttpRequest, openHttpsServer, parseServerUrl } from './https.ts'
import { leaseSource } from './lease-source.ts'
import type { VimSession, VsphereSettings } from './session.ts'
import { shareSession } from './shared-session.ts'
import type { HostTrust } from './trust.ts'
import { parseTransferUrl } from './vix-host.ts'

/** The server may think before the first byte, and between two: it reads a chain, and may meet a run of zeros. */
const SILENCE_MS = 5 * 60_000
/** Longer than any disk takes. */
const STREAM_LIMIT_MS = 14 * 24 * 3_600_000

/** Disks of one snapshot that are open at the same time share one lease; disks of one transport share one session. */
export function leaseTransport(settings: VsphereSettings): Transport {
  const leases = sharedLeases(settings)
  return {
    name: 'lease',
    refusal: refusalOf,
    open: async (request, cancel) => {
      const reason = refusalOf(request)
      if (reason !== null) throw refused(request.disk, reason)
      const held = await leases.take(request, cancel)
      try {
        const url = held.lease.find(request.disk)
        if (url === null) throw refused(request.disk, 'the export of its snapshot has no such disk')
        return sourceOf(held, { request, url })
      } catch (error) {
        await held.giveBack({ key: request.disk.key, whole: false })
        throw error
      }
    },
  }
}

function refusalOf({ disk }: DiskRequest): string | null {
  if (disk.encrypted) return 'it is encrypted, and an export would need its key'
  if (disk.backing === 'rdm-physical') return 'it is a physical raw device mapping, which no snapshot freezes'
  if (disk.mode.startsWith('independent')) return 'it is independent, so no snapshot freezes it'
  return null
}

function refused(disk: VmDisk, reason: string): BackupError {
  return new BackupError(`Cannot read "${disk.label}" ("${disk.fileName}") from an export: ${reason}`, {
    code: 'transport-refused',
    hint: 'Add another transport to the policy for this disk',
    facts: { fileName: disk.fileName, reason },
  })
}

type HeldLease = {
  readonly lease: ExportLease
  readonly session: VimSession
  report(disk: VmDisk, positionBytes: number): void
  giveBack(end: { readonly key: number; readonly whole: boolean }): Promise<void>
}

type Shared = {
  readonly opening: Promise<{ readonly lease: ExportLease; readonly session: VimSession }>
  holders: number
  /** Of every disk that was opened: its size, how far it was read, and whether to its end. */
  readonly disks: Map<number, { readonly capacityBytes: number; positionBytes: number; whole: boolean }>
}

function sharedLeases(settings: VsphereSettings) {
  const sessions = shareSession(settings)
  const shared = new Map<string, Shared>()
  const open = async ({ snapshot }: DiskRequest, cancel: Cancel) => {
    const session = await sessions.take(cancel)
    try {
      return { session, lease: await openExportLease(session, { snapshot }, cancel) }
    } catch (error) {
      await sessions.giveBack()
      throw error
    }
  }
  const end = async (snapshot: string, own: Shared): Promise<void> => {
    if (shared.get(snapshot) === own) shared.delete(snapshot)
    const { lease } = await own.opening
    const whole = [...own.disks.values()].every((disk) => disk.whole)
    await lease.end(whole ? 'complete' : 'abort')
    await sessions.giveBack()
  }
  return {
    take: async (request: DiskRequest, cancel: Cancel): Promise<HeldLease> => {
      const { snapshot, disk } = request
      const known = shared.get(snapshot)
      const own = known ?? { opening: open(request, cancel), holders: 0, disks: new Map() }
      shared.set(snapshot, own)
      own.holders++
      own.disks.set(disk.key, { capacityBytes: disk.capacityBytes, positionBytes: 0, whole: false })
      const opened = await own.opening.catch((error: unknown) => {
        if (shared.get(snapshot) === own) shared.delete(snapshot)
        throw error
      })
      return {
        ...opened,
        report: ({ key }, positionBytes) => {
          const state = own.disks.get(key)
          if (state !== undefined) state.positionBytes = positionBytes
          const states = [...own.disks.values()]
          const total = states.reduce((sum, one) => sum + one.capacityBytes, 0)
          opened.lease.report(states.reduce((sum, one) => sum + one.positionBytes, 0) / Math.max(1, total))
        },
        giveBack: async ({ key, whole }) => {
          const state = own.disks.get(key)
          if (state !== undefined) state.whole = whole
          own.holders--
          if (own.holders === 0) await end(snapshot, own)
        },
      }
    },
  }
}

function sourceOf(held: HeldLease, { request, url }: { readonly request: DiskRequest; readonly url: DeviceUrl }) {
  const { disk } = request
  const fetching: Promise<void>[] = []
  return leaseSource({
    disk,
    begin: ({ signal }) => {
      const { pieces, done } = fetchStream(held, url, { signal: anySignal([signal, held.lease.lost]) })
      fetching.push(done)
      return pieces
    },
    onPosition: (bytes) => held.report(disk, bytes),
    close: async (whole) => {
      await Promise.all(fetching)
      await held.giveBack({ key: disk.key, whole })
    },
  })
}

/** @returns `done` resolves, never rejects, when the connection is given back or gone */
function fetchStream(
  { session }: HeldLease,
  { url, thumbprint }: DeviceUrl,
  { signal }: Cancel,
): { readonly pieces: AsyncGenerator<Uint8Array, void>; readonly done: Promise<void> } {
  const own = parseServerUrl(session.settings.url)
  const { host, port, path } = parseTransferUrl(url, own)
  const isOwn = host === own.host.toLowerCase() && port === own.port
  const arrived = Promise.withResolvers<IncomingMessage>()
  const finished = Promise.withResolvers<void>()
  const call: HttpRequest = { method: 'GET', path, headers: {}, fresh: true, limitMs: STREAM_LIMIT_MS }
  const consume = async (reply: IncomingMessage): Promise<void> => {
    const status = reply.statusCode ?? 0
    if (status !== 200) throw badStatus(status)
    arrived.resolve(reply)
    await finished.promise
  }
  const fetchOnce = async () => {
    // The session's cookie goes to its own server alone; the URL's ticket is what a host asks for.
    if (isOwn) return await session.stream(call, consume, { signal })
    using server = openHttpsServer({ host, port }, hostTrust(session, thumbprint))
    await server.stream(call, consume, { signal })
  }
  arrived.promise.catch(() => undefined)
  const done = fetchOnce().catch((error: unknown) => arrived.reject(error))
  async function* pieces(): AsyncGenerator<Uint8Array, void> {
    try {
      const reply = await within(arrived.promise, signal)
      const chunks = reply[Symbol.asyncIterator]()
      for (;;) {
        const next = await within(chunks.next(), signal)
        if (next.done === true) return
        const bytes: Uint8Array = next.value
        yield bytes
      }
    } finally {
      finished.resolve()
    }
  }
  signal.addEventListener('abort', () => finished.resolve(), { once: true })
  return { pieces: pieces(), done }
}

/** Waits no longer than a server may be silent. */
async function within<Result>(wait: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const limit = withTimeLimit(signal, SILENCE_MS)
  const ended = Promise.withResolvers<never>()
  ended.promise.catch(() => undefined)
  const stop = () => ended.reject(signal.aborted ? signal.reason : silent())
  if (limit.aborted) stop()
  limit.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([wait, ended.promise])
  } finally {
    limit.removeEventListener('abort', stop)
  }
}

function silent(): BackupError {
  return new BackupError(`the server sent nothing for ${SILENCE_MS / 1000} s`, {
    code: 'vcenter-timeout',
    retry: 'later',
  })
}

function badStatus(status: number): BackupError {
  return new BackupError(`the server answers HTTP status ${status}`, {
    code: 'vcenter-http-status',
    retry: 'later',
    ...(status === 503 ? { hint: 'The host or vCenter may have too many sessions; the next attempt tries again' } : {}),
    facts: { status },
  })
}

/** As vCenter vouches for the host, over its own trusted connection: by SHA-1 as it does, or by SHA-256. */
function hostTrust(session: VimSession, thumbprint: string): HostTrust {
  const digits = thumbprint.replaceAll(/[^0-9A-Fa-f]/g, '').toUpperCase()
  const shown = digits.replaceAll(/(..)(?=.)/g, '$1:')
  return {
    kind: 'host',
    sha256: digits.length === 64 ? shown : null,
    sha1: digits.length === 40 ? shown : null,
    otherwise: session.settings.trust,
  }
}
