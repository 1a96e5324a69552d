// Writes small restore points for the repository's tests, straight through its parts, without a mover.

import { passphraseWrapper } from '../../lib/adapters/local/passphrase.ts'
import { isAllZero } from '../../lib/base/bytes.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import {
  jobIdOf,
  parseMoref,
  parsePolicyName,
  parseVmId,
  runIdOf,
  type SessionId,
  sessionIdOf,
  type VmId,
} from '../../lib/model/ids.ts'
import type { PointBody, PointDisk } from '../../lib/model/point.ts'
import type { VmConfig } from '../../lib/model/vm.ts'
import type { KeyWrapper } from '../../lib/ports/keys.ts'
import type { ObjectStore } from '../../lib/ports/object-store.ts'
import { sealCandidate } from '../../lib/repository/candidate.ts'
import { countDiskMap } from '../../lib/repository/count-map.ts'
import { diskMapReader } from '../../lib/repository/disk-map-reader.ts'
import { leafWriter, type WrittenLeaf, writeDiskMap } from '../../lib/repository/disk-map-writer.ts'
import { diskReader } from '../../lib/repository/disk-reader.ts'
import { chunkHasher } from '../../lib/repository/keys.ts'
import { leafCountOf } from '../../lib/repository/map-shape.ts'
import { createRepository } from '../../lib/repository/open-repository.ts'
import { inheritedUses, readPackSet } from '../../lib/repository/pack-set.ts'
import { mergePackUses, packTally } from '../../lib/repository/pack-use.ts'
import { packWriter } from '../../lib/repository/pack-writer.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import type { Repository } from '../../lib/repository/repository.ts'
import { startSession } from '../../lib/repository/session.ts'
import { chunksPerLeaf, emptyLeaf } from '../../lib/wire/repository/page.ts'
import type { DiskMap } from '../../lib/wire/repository/point.ts'
import { type RecordRef, recordTypes } from '../../lib/wire/repository/record-ref.ts'

export const cancel = { signal: new AbortController().signal }
export const vmId = parseVmId('5029c0de-0000-4000-8000-000000000001')
export const cheapCost = { memoryKiB: 64, passes: 1, lanes: 1 }

export function wrapperFor(passphrase: string, random: Random = seededRandom(7)): KeyWrapper {
  return passphraseWrapper({ passphrase, random, cost: cheapCost })
}

export async function testRepository(store: ObjectStore, random: Random = seededRandom(1)): Promise<Repository> {
  const wrappers = [wrapperFor('correct horse', random)]
  return createRepository({ store, wrappers, random, clock: manualClock() }, cancel)
}

export function sessionOf(name: string, attempt = 1): SessionId {
  return sessionIdOf(jobIdOf(runIdOf({ policy: parsePolicyName('test'), key: name }), vmId), attempt)
}

/** A disk as a test thinks of it: chunks that are not zero, by number. */
export type TestDisk = {
  readonly key: number
  readonly capacityBytes: number
  readonly chunkLog2: number
  readonly chunks: ReadonlyMap<number, Uint8Array>
  /** Chunks that may differ from the parent, when there is one: always given with a parent. */
  readonly changed?: ReadonlySet<number>
}

export type WriteOptions = {
  readonly repository: Repository
  readonly sessionId: SessionId
  readonly sequence: number
  readonly parent: StoredPoint | null
  readonly disks: readonly TestDisk[]
  readonly random: Random
  readonly packBytesTarget?: number
  readonly domain?: VmId
}

/** Everything a mover does, in its simplest form; ends with the sealed candidate. */
export async function writeCandidate(write: WriteOptions): Promise<StoredPoint> {
  const { repository, parent } = write
  const domain = write.domain ?? vmId
  const clock = manualClock(1_760_000_000_000 + write.sequence * 86_400_000)
  const parents = parent === null ? [] : [parent.envelope]
  await startSession({ repository, sessionId: write.sessionId, parents, clock }, cancel)
  const writerOf = (kind: 'data' | 'meta') =>
    packWriter({
      repository,
      kind,
      packBytesTarget: write.packBytesTarget ?? 64 * 1024,
      plainBytesMax: 4 * 1024 * 1024,
      uploadsMax: 2,
      compressionLevel: 1,
      random: write.random,
      signal: cancel.signal,
    })
  await using data = writerOf('data')
  await using meta = writerOf('meta')
  const tally = packTally()
  const disks: DiskMap[] = []
  for (const disk of write.disks) disks.push(await writeDisk(disk, { write, domain, data, meta, tally }))
  await dropRemovedDisks({ write, domain, tally })
  await data.flush()
  await meta.flush()
  const inherited =
    parent === null
      ? []
      : inheritedUses(
          await readPackSet({ repository, domain, parts: parent.envelope.packSet }, cancel),
          parent.envelope.packSet,
        )
  const storedBytes = [...data.packs(), ...meta.packs()].reduce((sum, pack) => sum + pack.sizeBytes, 0)
  return sealCandidate(
    {
      repository,
      random: write.random,
      clock,
      sessionId: write.sessionId,
      point: {
        vmId: domain,
        sequence: write.sequence,
        parentSequence: parent?.envelope.sequence ?? null,
        capturedAt: new Date(clock.nowMs() - 60_000).toISOString(),
        retainUntil: null,
      },
      body: bodyOf(write.disks, storedBytes),
      disks,
      packUses: mergePackUses(inherited, tally.deltas()),
    },
    cancel,
  )
}

type Context = {
  readonly write: WriteOptions
  readonly domain: VmId
  readonly data: ReturnType<typeof packWriter>
  readonly meta: ReturnType<typeof packWriter>
  readonly tally: ReturnType<typeof packTally>
}

async function writeDisk(disk: TestDisk, { write, domain, data, meta, tally }: Context): Promise<DiskMap> {
  const { repository } = write
  const hasher = chunkHasher(repository.keys, domain)
  const parentMap = write.parent?.envelope.disks.find((other) => other.key === disk.key) ?? null
  const reader = parentMap === null ? null : diskMapReader({ repository, domain, disk: parentMap })
  const writer = leafWriter({ repository, domain, packs: meta, tally })
  const leaves: WrittenLeaf[] = []
  const changed = parentMap === null ? undefined : disk.changed
  for (const leafIndex of leavesToWrite(disk, changed)) {
    const first = leafIndex * chunksPerLeaf
    const mayDiffer = (i: number) => changed === undefined || changed.has(first + i)
    const parentLeaf = reader !== null && leafIndex < reader.leafCount ? await reader.leaf(leafIndex, cancel) : null
    const before = parentLeaf?.leaf ?? emptyLeaf(disk.chunkLog2)
    const entries: (RecordRef | null)[] = []
    for (const [i, entry] of before.entries.entries()) {
      const plain = disk.chunks.get(first + i)
      if (!mayDiffer(i)) entries.push(entry)
      else if (plain === undefined || isAllZero(plain)) entries.push(null)
      else {
        const id = hasher(plain)
        if (entry !== null && Buffer.compare(entry.id, id) === 0) entries.push(entry)
        else {
          await data.room()
          entries.push(data.add({ plain, id, type: recordTypes.chunk }))
        }
      }
    }
    leaves.push(await writer.write({ leafIndex, leaf: { chunkLog2: disk.chunkLog2, entries }, parent: parentLeaf }))
  }
  return writeDiskMap(
    { repository, domain, packs: meta, tally, disk: shapeOf(disk), parent: parentMap, leaves },
    cancel,
  )
}

/** Leaves with a chunk that may differ; without a parent those with a chunk. */
function leavesToWrite(disk: TestDisk, changed: ReadonlySet<number> | undefined): readonly number[] {
  const leaves = new Set([...(changed ?? disk.chunks.keys())].map((index) => Math.floor(index / chunksPerLeaf)))
  return [...leaves].filter((leaf) => leaf < leafCountOf(disk)).toSorted((left, right) => left - right)
}

async function dropRemovedDisks({ write, domain, tally }: Pick<Context, 'write' | 'domain' | 'tally'>): Promise<void> {
  const { repository } = write
  for (const disk of write.parent?.envelope.disks ?? []) {
    if (write.disks.some((kept) => kept.key === disk.key)) continue
    const lost = await countDiskMap({ repository, domain, disk }, cancel)
    tally.merge(lost.map((delta) => ({ ...delta, records: -delta.records, bytes: -delta.bytes })))
  }
}

function shapeOf({ key, capacityBytes, chunkLog2 }: TestDisk) {
  return { key, capacityBytes, chunkLog2 }
}

/** The whole disk as bytes, by the reader. Small disks only. */
export async function readDisk(repository: Repository, point: StoredPoint, key: number): Promise<Uint8Array> {
  const disk = point.envelope.disks.find((candidate) => candidate.key === key)
  if (disk === undefined) throw new Error(`No disk ${key}`)
  const reader = diskReader({ repository, domain: point.envelope.vmId, disk, cacheBytesMax: 0 })
  const whole = new Uint8Array(disk.capacityBytes)
  let at = 0
  for await (const run of reader.runs({ offsetBytes: 0, lengthBytes: disk.capacityBytes }, cancel)) {
    if (run.offsetBytes !== at) throw new Error(`A run starts at ${run.offsetBytes}, not at ${at}`)
    if (run.kind === 'data') whole.set(run.bytes, at)
    at += run.kind === 'data' ? run.bytes.byteLength : run.lengthBytes
  }
  if (at !== disk.capacityBytes) throw new Error(`The runs end at ${at}`)
  return whole
}

/** Whether the disk reads as `expected`, without holding it whole. @throws what the reader throws */
export async function readsAs(repository: Repository, point: StoredPoint, expected: TestDisk): Promise<boolean> {
  const disk = point.envelope.disks.find((candidate) => candidate.key === expected.key)
  if (disk === undefined) return false
  const reader = diskReader({ repository, domain: point.envelope.vmId, disk, cacheBytesMax: 0 })
  const chunkBytes = 2 ** expected.chunkLog2
  let at = 0
  let seen = 0
  for await (const run of reader.runs({ offsetBytes: 0, lengthBytes: disk.capacityBytes }, cancel)) {
    if (run.offsetBytes !== at) return false
    at += run.kind === 'data' ? run.bytes.byteLength : run.lengthBytes
    if (run.kind === 'hole') continue
    const chunk = expected.chunks.get(run.offsetBytes / chunkBytes)
    if (chunk === undefined || Buffer.compare(run.bytes, chunk.subarray(0, run.bytes.byteLength)) !== 0) return false
    seen++
  }
  return at === expected.capacityBytes && seen === expected.chunks.size
}

/** What readDisk() must give. */
export function bytesOfDisk(disk: TestDisk): Uint8Array {
  const whole = new Uint8Array(disk.capacityBytes)
  for (const [index, chunk] of disk.chunks) {
    const at = index * 2 ** disk.chunkLog2
    if (at < whole.byteLength) whole.set(chunk.subarray(0, whole.byteLength - at), at)
  }
  return whole
}

export function bodyOf(disks: readonly TestDisk[], storedBytes: number): PointBody {
  return {
    vmName: 'web-1',
    vcenterId: null,
    snapshotName: 'coldframe-test',
    policyName: 'gold',
    writer: 'coldframe test',
    usage: null,
    grade: {
      requested: 'crash',
      reached: 'crash',
      quiesced: false,
      method: 'none',
      freezeMs: 0,
      snapshotMs: 12,
      fallbacks: [],
      proof: null,
    },
    config: configOf(),
    disks: disks.map(pointDiskOf),
    excludedDisks: [],
    notices: [],
    storedBytes,
  }
}

function pointDiskOf(disk: TestDisk): PointDisk {
  return {
    key: disk.key,
    label: `Hard disk ${disk.key - 1999}`,
    capacityBytes: disk.capacityBytes,
    chunkLog2: disk.chunkLog2,
    fileName: `[ds] web-1/web-1_${disk.key}.vmdk`,
    backingUuid: '6000C290-0000-0000-0000-000000000001',
    changeId: null,
    readMode: 'full',
    readModeReason: null,
    readModeCode: null,
    audit: null,
    transport: 'image',
    readBytes: disk.capacityBytes,
    newChunks: disk.chunks.size,
    newPlainBytes: 0,
    newStoredBytes: 0,
  }
}

function configOf(): VmConfig {
  return {
    name: 'web-1',
    vmId,
    biosUuid: '4229c0de-0000-4000-8000-000000000001',
    annotation: '',
    hardwareVersion: 'vmx-19',
    guestId: 'debian12_64Guest',
    guestFullName: 'Debian GNU/Linux 12 (64-bit)',
    firmware: 'efi',
    secureBoot: false,
    cpus: 2,
    coresPerSocket: 1,
    memoryMB: 1024,
    folder: '/DC/web',
    resourcePool: parseMoref('resgroup-8'),
    extraConfig: { 'disk.EnableUUID': 'TRUE' },
    controllers: [{ key: 1000, type: 'ParaVirtualSCSIController', busNumber: 0, sharedBus: 'noSharing' }],
    nics: [
      {
        key: 4000,
        type: 'VirtualVmxnet3',
        label: 'Network adapter 1',
        macAddress: '00:50:56:00:00:01',
        addressType: 'manual',
        network: 'VM Network',
        connected: true,
        startConnected: true,
      },
    ],
    disks: [
      {
        key: 2000,
        label: 'Hard disk 1',
        capacityBytes: 16_777_216,
        controllerKey: 1000,
        unitNumber: 0,
        mode: 'persistent',
        backing: 'flat',
        fileName: '[ds] web-1/web-1.vmdk',
        parents: [],
        uuid: '6000C290-0000-0000-0000-000000000001',
        changeId: '52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81',
        thin: true,
        encrypted: false,
        sharing: false,
      },
    ],
    otherDevices: [{ key: 12000, type: 'VirtualMachineVMCIDevice', label: 'VMCI device' }],
    vmx: '.encoding = "UTF-8"\ndisplayName = "web-1"\n',
    nvramBase64: 'TVJWTgEAAAA=',
    missing: ['the host did not say which USB devices are attached'],
  }
}
