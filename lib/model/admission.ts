// What a backup needs of a vCenter, its hosts and its datastores, and how much of each all backups together may take. Pure.

import { GiB, MiB } from '../base/bytes.ts'
import { formatBytes } from '../base/text.ts'
import type { Moref } from './ids.ts'
import type { PlaceWish } from './places.ts'
import type { TransportName } from './policy.ts'
import type { DatastoreState } from './site.ts'
import type { VmDisk } from './vm.ts'

export type AdmissionLimits = {
  /** NFC connections through one vCenter; one is an open disk, or a request for a range of a file. */
  readonly nfcConnections: number
  /** Memory for reads in flight of one ESXi host. */
  readonly nfcBuffersBytes: number
  /** Snapshots of ours on one datastore. */
  readonly snapshotsPerDatastore: number
  /** Jobs between the start of their preparation and the removal of their snapshot. */
  readonly jobsPerDatastore: number
  readonly jobsPerHost: number
  /** What one mover may have in flight, and how many disks it may have open. */
  readonly moverBufferBytes: number
  readonly moverWorkers: number
  /** No backup begins on a datastore with less free space than either; never more than half its capacity is asked for. */
  readonly freeSpaceBytes: number
  readonly freeSpacePercent: number
  /** Read latency of a datastore from which no backup begins, and from which those that run are slowed down. */
  readonly latencyStartMs: number
  readonly latencyStopMs: number
}

/** NFC: VDDK programming guide, "NFC Session Limits". Snapshots, space and latency: as other products have them. */
export const defaultAdmissionLimits: AdmissionLimits = {
  nfcConnections: 52,
  nfcBuffersBytes: 48 * MiB,
  snapshotsPerDatastore: 4,
  jobsPerDatastore: 8,
  jobsPerHost: 8,
  moverBufferBytes: 16 * MiB,
  moverWorkers: 4,
  freeSpaceBytes: 10 * GiB,
  freeSpacePercent: 10,
  latencyStartMs: 20,
  latencyStopMs: 30,
}

/** What a VM stands on, as far as its disks are read. */
export type Footing = {
  /** AboutInfo.instanceUuid; null where the server has none (a lone host). */
  readonly vcenterId: string | null
  readonly host: { readonly moref: Moref; readonly name: string } | null
  readonly datastores: readonly { readonly moref: Moref; readonly name: string }[]
  readonly diskBytes: number
}

/** What a mover may use: it cuts itself by it. */
export type MoverGrant = {
  /** Disks open at once, and requests for ranges of files at once. */
  readonly connections: number
  /** Bytes of all reads in flight together. */
  readonly bufferBytes: number
}

/** The largest read that vCenter and hosts answer without failing for memory (VDDK guide: "NFC buffers"). */
export const NFC_READ_BYTES_MAX = 2 * MiB

/** One worker reads so much sooner than another one starts. */
export const BYTES_PER_WORKER = 64 * MiB

/** Direct to storage: no connection to a host's file service. */
const WITHOUT_NFC: readonly TransportName[] = ['san', 'hotadd']

/** @param datastores all that hold files of the VM: those with disks that are read are taken */
export function footingOf(found: {
  readonly vcenterId: string | null
  readonly host: Footing['host']
  readonly datastores: readonly DatastoreState[]
  readonly disks: readonly Pick<VmDisk, 'fileName' | 'capacityBytes'>[]
}): Footing {
  const { vcenterId, host, disks } = found
  const datastores = usedDatastores(found).map(({ moref, name }) => ({ moref, name }))
  return { vcenterId, host, datastores, diskBytes: disks.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0) }
}

/** Where the disks' files lie, and where their deltas will grow. */
export function usedDatastores({
  datastores,
  disks,
}: {
  readonly datastores: readonly DatastoreState[]
  readonly disks: readonly Pick<VmDisk, 'fileName'>[]
}): readonly DatastoreState[] {
  const names = new Set(disks.map(({ fileName }) => /^\[([^\]]+)\]/.exec(fileName)?.[1]))
  return datastores.filter(({ name }) => names.has(name))
}

/** How much a mover of these disks can use, at most its share. A transport that reads files has each read as a connection. */
export function grantFor(
  { diskBytes, transports }: { readonly diskBytes: number; readonly transports: readonly TransportName[] },
  limits: AdmissionLimits,
): MoverGrant {
  if (transports.every((name) => WITHOUT_NFC.includes(name))) return { connections: 0, bufferBytes: 0 }
  const most = Math.max(1, Math.floor(Math.min(limits.moverBufferBytes, limits.nfcBuffersBytes) / NFC_READ_BYTES_MAX))
  const reads = Math.min(most, Math.max(1, Math.ceil(diskBytes / NFC_READ_BYTES_MAX)))
  const workers = Math.min(reads, limits.moverWorkers, Math.max(1, Math.ceil(diskBytes / BYTES_PER_WORKER)))
  const connections = Math.min(transports.includes('datastore') ? reads : workers, limits.nfcConnections)
  return { connections, bufferBytes: reads * NFC_READ_BYTES_MAX }
}

/** What one mover makes of its grant. */
export type MoverCut = { readonly workers: number; readonly readsPerWorker: number }

/**
 * @param use.workers how many have something to do
 * @param use.perRead whether each read is a connection of its own
 */
export function cutByGrant(grant: MoverGrant, use: { readonly workers: number; readonly perRead: boolean }): MoverCut {
  const reads = Math.floor(grant.bufferBytes / NFC_READ_BYTES_MAX)
  // Nothing of either: a transport without such connections reads, and is not bounded here.
  if (grant.connections === 0 || reads === 0) return { workers: use.workers, readsPerWorker: Number.MAX_SAFE_INTEGER }
  const workers = Math.max(1, Math.min(use.workers, grant.connections, reads))
  const inFlight = use.perRead ? Math.min(reads, grant.connections) : reads
  return { workers, readsPerWorker: Math.max(1, Math.floor(inFlight / workers)) }
}

/** Every resource that admission knows begins with this. */
const PREFIX = 'at/'

export function isAdmissionResource(resource: string): boolean {
  return resource.startsWith(PREFIX)
}

/** One of a group at a time has a snapshot of ours. */
export function groupWishes(groups: readonly string[]): readonly PlaceWish[] {
  return groups.map((group) => ({
    resource: `${PREFIX}group/${group}`,
    what: `the turn of anti-affinity group "${group}"`,
    units: 1,
    unitsMax: 1,
  }))
}

export function wishesFor(footing: Footing, grant: MoverGrant, limits: AdmissionLimits): readonly PlaceWish[] {
  const { host, datastores } = footing
  const at = `${PREFIX}${footing.vcenterId ?? 'host'}`
  const wishes: PlaceWish[] = []
  if (grant.connections > 0) {
    wishes.push({
      resource: `${at}/nfc-connections`,
      what: `${grant.connections} NFC connections`,
      units: grant.connections,
      unitsMax: limits.nfcConnections,
    })
  }
  if (host !== null) {
    const of = `of host "${host.name}"`
    if (grant.bufferBytes > 0) {
      const units = Math.ceil(grant.bufferBytes / MiB)
      const unitsMax = Math.max(1, Math.floor(limits.nfcBuffersBytes / MiB))
      wishes.push({
        resource: `${at}/${host.moref}/nfc-buffers`,
        what: `${units} MiB of NFC buffers ${of}`,
        units,
        unitsMax,
      })
    }
    const jobs = { what: `a place ${of}`, units: 1, unitsMax: limits.jobsPerHost }
    wishes.push({ resource: `${at}/${host.moref}/jobs`, ...jobs })
  }
  for (const { moref, name } of datastores) {
    const of = `datastore "${name}"`
    const snapshots = { what: `a snapshot on ${of}`, units: 1, unitsMax: limits.snapshotsPerDatastore }
    wishes.push({ resource: `${at}/${moref}/snapshots`, ...snapshots })
    wishes.push({
      resource: `${at}/${moref}/jobs`,
      what: `a place on ${of}`,
      units: 1,
      unitsMax: limits.jobsPerDatastore,
    })
  }
  return wishes
}

/** What a datastore must become before a snapshot may grow on it, in words after "waits for"; null when nothing is amiss. */
export function storageWait(datastores: readonly DatastoreState[], limits: AdmissionLimits): string | null {
  for (const datastore of datastores) {
    const { name, accessible, maintenanceMode, capacityBytes, freeBytes } = datastore
    if (!accessible) return `datastore "${name}" to be accessible`
    if (maintenanceMode !== null && maintenanceMode !== 'normal')
      return `datastore "${name}" to leave maintenance mode (it says "${maintenanceMode}")`
    const wantedBytes = Math.max(limits.freeSpaceBytes, (capacityBytes * limits.freeSpacePercent) / 100)
    // A small datastore would never have as much free.
    const neededBytes = Math.min(wantedBytes, capacityBytes / 2)
    if (freeBytes < neededBytes)
      return `space on datastore "${name}": ${formatBytes(freeBytes)} are free, ${formatBytes(neededBytes)} are needed to begin`
  }
  return null
}

export type ReadLatency = {
  readonly datastore: string
  /** Average of the last interval; null where the server does not say: unknown is not zero. */
  readonly readMs: number | null
}

/** The slowest datastore as it must become before a backup begins; null when none is known to be too slow. */
export function latencyWait(latencies: readonly ReadLatency[], limits: AdmissionLimits): string | null {
  const slow = latencies.find(({ readMs }) => readMs !== null && readMs >= limits.latencyStartMs)
  if (slow === undefined) return null
  return `datastore "${slow.datastore}" to answer sooner: a read takes ${slow.readMs} ms, ${limits.latencyStartMs} ms is the limit`
}

/** @returns the largest known; null when none is */
export function worstLatencyMs(latencies: readonly ReadLatency[]): number | null {
  const known = latencies.flatMap(({ readMs }) => (readMs === null ? [] : [readMs]))
  return known.length === 0 ? null : Math.max(...known)
}
