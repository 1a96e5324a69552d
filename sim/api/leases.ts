// Leases on the disks of a snapshot for a download: HttpNfcLease of the Web Services API. A lease is ready a while after it was asked for,
// and lasts as long as somebody reports progress in time.

import { createHash } from 'node:crypto'
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { SimContent } from '../machine/types.ts'
import { SimFault } from '../machine/types.ts'
import { type Data, data, type Ref, ref } from '../soap/value.ts'
import { faultWithMessage } from './faults.ts'
import type { ManagedObject } from './managed-object.ts'
import { uuidFrom } from './random-ids.ts'

export type LeasedDisk = {
  /** "/vm-101/VirtualLsiLogicController0:0" */
  readonly key: string
  /** "disk-0.vmdk" */
  readonly targetId: string
  readonly fileName: string
  readonly contentId: string
  readonly capacityBytes: number
  readonly datastoreKey: string
  readonly content: SimContent
}

export type LeaseOptions = {
  readonly id: string
  readonly entity: Ref
  readonly disks: readonly LeasedDisk[]
  /** "https://192.0.2.7:443" or "https://*". */
  readonly base: string
  readonly sslThumbprint: string
  readonly readyInMs: number
  /** It never becomes ready: an error instead. */
  readonly failure: SimFault | null
  /** Whether what is leased is still there. */
  readonly stands: () => boolean
}

export type LeaseState = 'initializing' | 'ready' | 'done' | 'error'

export interface Lease {
  readonly object: ManagedObject
  readonly ticket: string
  /** The machine. */
  readonly entity: Ref
  state(): LeaseState
  disk(targetId: string): LeasedDisk | null
  /** @throws SimFault Timedout, InvalidState */
  progress(percent: number): void
  complete(): void
  abort(fault: SimFault | null): void
  /** Notes a disk that was sent whole. */
  sent(disk: LeasedDisk, file: { readonly sizeBytes: number; readonly sha1: string }): void
  manifest(): readonly Data[]
}

export interface Leases {
  open(options: LeaseOptions): Lease
  /** Null for a ticket of no lease. */
  byTicket(ticket: string): Lease | null
  /** Null for a reference of no lease. */
  byId(id: string): Lease | null
}

export function openLeases(world: {
  readonly clock: Clock
  readonly random: Random
  readonly timeoutMs: number
}): Leases {
  const leases = new Map<string, Lease>()
  return {
    open: (options) => {
      const lease = newLease(options, { ...world, ticket: uuidFrom(world.random) })
      leases.set(options.id, lease)
      return lease
    },
    byTicket: (ticket) => [...leases.values()].find((lease) => lease.ticket === ticket) ?? null,
    byId: (id) => leases.get(id) ?? null,
  }
}

type LeaseWorld = { readonly clock: Clock; readonly timeoutMs: number; readonly ticket: string }

function newLease(options: LeaseOptions, world: LeaseWorld): Lease {
  const { clock, timeoutMs, ticket } = world
  const openedMs = clock.nowMs()
  let ended: { readonly state: 'done' | 'error'; readonly fault: SimFault | null } | null = null
  let lastMs = openedMs + options.readyInMs
  let percentDone = 0
  const files = new Map<LeasedDisk, Data>()
  const settle = () => {
    if (ended !== null) return
    const nowMs = clock.nowMs()
    if (nowMs < openedMs + options.readyInMs) return
    if (options.failure !== null) ended = { state: 'error', fault: options.failure }
    else if (nowMs - lastMs > timeoutMs)
      ended = { state: 'error', fault: new SimFault('Timedout', 'The lease has timed out.') }
    else if (!options.stands())
      ended = { state: 'error', fault: new SimFault('InvalidState', 'What the lease was for has changed.') }
  }
  const state = (): LeaseState => {
    settle()
    if (ended !== null) return ended.state
    return clock.nowMs() < openedMs + options.readyInMs ? 'initializing' : 'ready'
  }
  const mustBeReady = () => {
    const now = state()
    if (now === 'ready') return
    throw ended?.fault ?? new SimFault('InvalidState', `The lease is in state "${now}".`)
  }
  const urlOf = (disk: LeasedDisk) => `${options.base}/nfc/${ticket}/${disk.targetId}`
  return {
    ticket,
    entity: options.entity,
    state,
    object: {
      ref: ref('HttpNfcLease', options.id),
      properties: {
        initializeProgress: () => (state() === 'initializing' ? 0 : 100),
        transferProgress: () => percentDone,
        mode: () => 'pushOrGet',
        capabilities: () => data('HttpNfcLeaseCapabilities', { pullModeSupported: true, corsSupported: true }),
        info: () => (state() === 'initializing' ? null : describeLease(options, { timeoutMs, urlOf })),
        state,
        error: () => {
          settle()
          return ended?.fault === undefined || ended.fault === null ? null : faultWithMessage(ended.fault)
        },
      },
    },
    disk: (targetId) => options.disks.find((disk) => disk.targetId === targetId) ?? null,
    progress: (percent) => {
      mustBeReady()
      lastMs = clock.nowMs()
      percentDone = percent
    },
    complete: () => {
      mustBeReady()
      ended = { state: 'done', fault: null }
    },
    abort: (fault) => {
      if (ended === null) ended = { state: 'error', fault: fault ?? new SimFault('RequestCanceled', 'Aborted.') }
    },
    sent: (disk, { sizeBytes, sha1 }) => {
      const { key, capacityBytes } = disk
      const whole = { key, sha1, size: sizeBytes, disk: true, capacity: capacityBytes, populatedSize: sizeBytes }
      files.set(disk, data('HttpNfcLeaseManifestEntry', whole))
    },
    manifest: () => [...files.values()],
  }
}

function describeLease(
  options: LeaseOptions,
  { timeoutMs, urlOf }: { readonly timeoutMs: number; readonly urlOf: (disk: LeasedDisk) => string },
): Data {
  const { id, entity, disks, base, sslThumbprint } = options
  const capacityBytes = disks.reduce((sum, disk) => sum + disk.capacityBytes, 0)
  const stores = [...new Set(disks.map((disk) => disk.datastoreKey))]
  return data('HttpNfcLeaseInfo', {
    lease: ref('HttpNfcLease', id),
    entity,
    deviceUrl: [
      ...disks.map((disk) =>
        data('HttpNfcLeaseDeviceUrl', {
          key: disk.key,
          importKey: disk.key.replace(entity.id, 'vm'),
          url: urlOf(disk),
          sslThumbprint,
          disk: true,
          targetId: disk.targetId,
          datastoreKey: disk.datastoreKey,
          fileSize: disk.capacityBytes,
        }),
      ),
      // Not a disk: a client must look at the flag.
      data('HttpNfcLeaseDeviceUrl', {
        key: `/${entity.id}/nvram`,
        importKey: '/vm/nvram',
        url: `${base}/nfc/none/nvram`,
        sslThumbprint,
        disk: false,
        targetId: 'nvram',
      }),
    ],
    totalDiskCapacityInKB: Math.ceil(capacityBytes / 1024),
    leaseTimeout: Math.ceil(timeoutMs / 1000),
    hostMap: stores.map((datastoreKey) =>
      data('HttpNfcLeaseDatastoreLeaseInfo', {
        datastoreKey,
        hosts: [data('HttpNfcLeaseHostInfo', { url: `${base}/`, sslThumbprint })],
      }),
    ),
  })
}

/** Counts what is sent of a disk, and its SHA-1 as the manifest has it. */
export function fileMeter(): { add(bytes: Uint8Array): void; done(): { sizeBytes: number; sha1: string } } {
  const hash = createHash('sha1')
  let sizeBytes = 0
  return {
    add: (bytes) => {
      hash.update(bytes)
      sizeBytes += bytes.byteLength
    },
    done: () => ({ sizeBytes, sha1: hash.digest('hex') }),
  }
}
