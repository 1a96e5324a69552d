// What a job takes of a vCenter, a host and datastores; and that a mover cut by its grant never uses more.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GiB, MiB } from '../../lib/base/bytes.ts'
import {
  cutByGrant,
  defaultAdmissionLimits,
  footingOf,
  grantFor,
  latencyWait,
  NFC_READ_BYTES_MAX,
  storageWait,
  wishesFor,
  worstLatencyMs,
} from '../../lib/model/admission.ts'
import { parseMoref } from '../../lib/model/ids.ts'
import type { TransportName } from '../../lib/model/policy.ts'
import type { DatastoreState } from '../../lib/model/site.ts'

const limits = defaultAdmissionLimits
const TRANSPORTS: readonly TransportName[] = ['san', 'hotadd', 'nbdssl', 'nbd', 'datastore', 'lease']

const store = (change: Partial<DatastoreState> = {}): DatastoreState => ({
  moref: parseMoref('datastore-1'),
  name: 'fast',
  type: 'VMFS',
  volume: 'v1',
  capacityBytes: 1_000 * GiB,
  freeBytes: 500 * GiB,
  accessible: true,
  maintenanceMode: 'normal',
  ...change,
})

const host = { moref: parseMoref('host-1'), name: 'esx-1' }

describe('what a job needs', () => {
  it('is of its host, and of the datastores of the disks that are read', () => {
    const datastores = [store(), store({ moref: parseMoref('datastore-2'), name: 'iso' })]
    const disks = [
      { fileName: '[fast] a/a.vmdk', capacityBytes: 3 * GiB },
      { fileName: '[fast] a/a_1.vmdk', capacityBytes: GiB },
    ]
    const footing = footingOf({ vcenterId: 'vc', host, datastores, disks })
    expect(footing).toEqual({
      vcenterId: 'vc',
      host,
      datastores: [{ moref: 'datastore-1', name: 'fast' }],
      diskBytes: 4 * GiB,
    })
    const grant = grantFor({ diskBytes: footing.diskBytes, transports: ['nbdssl'] }, limits)
    expect(
      wishesFor(footing, grant, limits).map(({ resource, units, unitsMax }) => [resource, units, unitsMax]),
    ).toEqual([
      ['at/vc/nfc-connections', 4, 52],
      ['at/vc/host-1/nfc-buffers', 16, 48],
      ['at/vc/host-1/jobs', 1, 8],
      ['at/vc/datastore-1/snapshots', 1, 4],
      ['at/vc/datastore-1/jobs', 1, 8],
    ])
  })

  it('is nothing of NFC where the disks are read from storage itself', () => {
    const grant = grantFor({ diskBytes: GiB, transports: ['san', 'hotadd'] }, limits)
    expect(grant).toEqual({ connections: 0, bufferBytes: 0 })
    const footing = { vcenterId: null, host, datastores: [], diskBytes: GiB }
    expect(wishesFor(footing, grant, limits).map(({ resource }) => resource)).toEqual(['at/host/host-1/jobs'])
    expect(grantFor({ diskBytes: GiB, transports: ['san', 'nbdssl'] }, limits).connections).toBe(4)
  })

  it('is small for small disks', () => {
    expect(grantFor({ diskBytes: 3 * MiB, transports: ['nbdssl'] }, limits)).toEqual({
      connections: 1,
      bufferBytes: 4 * MiB,
    })
  })

  it('is never more than there is, and never more than was granted is used', () =>
    fc.assert(
      fc.property(
        fc.record({
          diskBytes: fc.integer({ min: 0, max: 2 ** 50 }),
          transports: fc.subarray([...TRANSPORTS], { minLength: 1 }),
          workers: fc.integer({ min: 1, max: 64 }),
          used: fc.constantFrom(...TRANSPORTS),
          limits: fc.record({
            nfcConnections: fc.integer({ min: 1, max: 100 }),
            nfcBuffersBytes: fc.integer({ min: MiB, max: 100 * MiB }),
            moverBufferBytes: fc.integer({ min: MiB, max: 100 * MiB }),
            moverWorkers: fc.integer({ min: 1, max: 16 }),
          }),
        }),
        (asked) => {
          const all = { ...limits, ...asked.limits }
          const grant = grantFor(asked, all)
          expect(grant.connections).toBeLessThanOrEqual(all.nfcConnections)
          const most = Math.max(NFC_READ_BYTES_MAX, Math.min(all.moverBufferBytes, all.nfcBuffersBytes))
          expect(grant.bufferBytes).toBeLessThanOrEqual(most)
          if (grant.connections === 0) return
          const perRead = asked.used === 'datastore'
          const cut = cutByGrant(grant, { workers: asked.workers, perRead })
          expect(cut.workers).toBeGreaterThanOrEqual(1)
          expect(cut.workers * cut.readsPerWorker * NFC_READ_BYTES_MAX).toBeLessThanOrEqual(grant.bufferBytes)
          expect(perRead ? cut.workers * cut.readsPerWorker : cut.workers).toBeLessThanOrEqual(grant.connections)
        },
      ),
    ))
})

describe('what a job waits for', () => {
  it('is space, as a share of the datastore and at least an amount, but at most half of a small one', () => {
    expect(storageWait([store({ freeBytes: 101 * GiB })], limits)).toBeNull()
    expect(storageWait([store({ freeBytes: 99 * GiB })], limits)).toBe(
      'space on datastore "fast": 99 GiB are free, 100 GiB are needed to begin',
    )
    expect(storageWait([store({ capacityBytes: 50 * GiB, freeBytes: 9 * GiB })], limits)).toContain('10 GiB are needed')
    expect(storageWait([store({ capacityBytes: 8 * GiB, freeBytes: 5 * GiB })], limits)).toBeNull()
    expect(storageWait([store({ freeBytes: 0 })], { ...limits, freeSpaceBytes: 0, freeSpacePercent: 0 })).toBeNull()
  })

  it('is a datastore that is away, or on its way into maintenance', () => {
    expect(storageWait([store(), store({ accessible: false })], limits)).toContain('to be accessible')
    expect(storageWait([store({ maintenanceMode: 'enteringMaintenance' })], limits)).toContain('enteringMaintenance')
    expect(storageWait([store({ maintenanceMode: null })], limits)).toBeNull()
  })

  it('is a datastore known to be slow; one that tells nothing is not waited for', () => {
    expect(
      latencyWait(
        [
          { datastore: 'a', readMs: 19 },
          { datastore: 'b', readMs: null },
        ],
        limits,
      ),
    ).toBeNull()
    expect(
      latencyWait(
        [
          { datastore: 'a', readMs: null },
          { datastore: 'b', readMs: 21 },
        ],
        limits,
      ),
    ).toBe('datastore "b" to answer sooner: a read takes 21 ms, 20 ms is the limit')
    expect(worstLatencyMs([{ datastore: 'a', readMs: null }])).toBeNull()
    expect(
      worstLatencyMs([
        { datastore: 'a', readMs: 0 },
        { datastore: 'b', readMs: 5 },
      ]),
    ).toBe(5)
  })
})
