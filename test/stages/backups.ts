// Backups of the test world from the request to the end, and what must be true afterwards.

import { expect } from 'vitest'
import { assert } from '../../lib/base/errors.ts'
import { requestRun } from '../../lib/doors/request-run.ts'
import { wishesFor } from '../../lib/model/admission.ts'
import {
  type JobId,
  jobIdOf,
  parseJobId,
  parseSnapshotName,
  type RunId,
  runIdOf,
  sessionIdOf,
} from '../../lib/model/ids.ts'
import type { Job } from '../../lib/model/job.ts'
import type { Policy } from '../../lib/model/policy.ts'
import { publishCandidate, sealCandidate } from '../../lib/repository/candidate.ts'
import { diskReader } from '../../lib/repository/disk-reader.ts'
import { inheritedUses, readPackSet } from '../../lib/repository/pack-set.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { listPointRefs, readPoint } from '../../lib/repository/points.ts'
import { startSession } from '../../lib/repository/session.ts'
import { moversResource } from '../../lib/stages/places.ts'
import type { Process } from './chaos.ts'
import { type Engine, isOver, jobsOf, turnUntil } from './engine.ts'
import { cancel, policyWith, type World } from './world.ts'

export type BackupRequest = {
  readonly vms?: readonly string[] | null
  readonly policy?: Policy
  readonly door?: 'api' | 'schedule' | 'alarm'
  /** Left out, a new one. */
  readonly key?: string
}

let keys = 0

/** Writes the run and wakes plan. */
export async function request(world: World, { vms, policy, door, key }: BackupRequest = {}): Promise<RunId> {
  const process: Process = { name: 'door', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const asked = {
    door: door ?? 'api',
    policy: policy ?? policyWith(),
    vms: vms === undefined ? ['db-1'] : vms,
    key: key ?? `key-${++keys}`,
  }
  return requestRun(asked, world.depsOf(process), cancel)
}

/** From the request until every job is done. */
export async function backUp(engine: Engine, asked: BackupRequest = {}): Promise<readonly Job[]> {
  const id = await request(engine.world, asked)
  await turnUntil(engine, () => isOver(engine.world, id))
  return jobsOf(engine.world, id)
}

/** The run's only job. */
export async function backUpOne(engine: Engine, asked: BackupRequest = {}): Promise<Job> {
  const [job, ...more] = await backUp(engine, asked)
  assert(job !== undefined && more.length === 0, 'the run has one job')
  return job
}

export async function allPoints({ repository }: World): Promise<readonly StoredPoint[]> {
  const refs = await listPointRefs({ repository }, cancel)
  return Promise.all(refs.map((ref) => readPoint({ repository, ref }, cancel)))
}

export function jobIdOfPoint(point: StoredPoint): JobId {
  return parseJobId(point.envelope.sessionId.slice(0, 32))
}

export async function pointOfJob(world: World, job: Job): Promise<StoredPoint | null> {
  return (await allPoints(world)).find((point) => jobIdOfPoint(point) === job.id) ?? null
}

/** What another control plane of the same repository does: it takes the next sequence with a copy of a point. */
export async function publishCopy(world: World, point: StoredPoint): Promise<void> {
  const { repository, random, clock } = world
  const { vmId, sequence, packSet: parts } = point.envelope
  const sessionId = sessionIdOf(jobIdOf(runIdOf({ policy: policyWith().name, key: 'rival' }), vmId), 1)
  const uses = inheritedUses(await readPackSet({ repository, domain: vmId, parts }, cancel), parts)
  const next = { ...point.envelope, sequence: sequence + 1, parentSequence: sequence }
  const { body } = point
  const { disks } = point.envelope
  await startSession({ repository, sessionId, parents: [point.envelope], clock }, cancel)
  await sealCandidate({ repository, random, clock, sessionId, point: next, body, disks, packUses: uses }, cancel)
  await publishCandidate({ repository, sessionId, clock }, cancel)
}

/** Labels of disks whose restored bytes are not those that the job's snapshot froze. */
export async function wrongDisks(world: World, point: StoredPoint): Promise<readonly string[]> {
  return (await wrongDiskKeys(world, point)).map((key) => `${point.body.vmName} disk ${key}`)
}

/** Their device keys. */
export async function wrongDiskKeys(world: World, point: StoredPoint): Promise<readonly number[]> {
  const job = (await world.jobStore.jobs.get(jobIdOfPoint(point), cancel))?.value
  // Of another control plane.
  if (job === undefined) return []
  const snapshot = job.capture?.snapshot
  assert(snapshot !== undefined, 'a point has a job that captured')
  const wrong: number[] = []
  for (const disk of point.envelope.disks) {
    const { repository } = world
    const target = new Uint8Array(disk.capacityBytes)
    const reader = diskReader({ repository, domain: point.envelope.vmId, disk, cacheBytesMax: 0 })
    await reader.readRange({ offsetBytes: 0, target }, cancel)
    const frozen = world.vcenter.frozenBytes(snapshot, disk.key)
    if (frozen === null || Buffer.compare(target, frozen) !== 0) wrong.push(disk.key)
  }
  return wrong
}

/** Everything that holds when no job is at work; that every point restores what its snapshot froze, if not left out. */
export async function expectRest(engine: Engine, { restores = true } = {}): Promise<void> {
  const { world } = engine
  const points = await allPoints(world)
  const withPoint = new Set(points.map(jobIdOfPoint))
  expect(withPoint.size, 'one point a job').toBe(points.length)
  for (const job of await world.jobStore.recentJobs({ limit: 10_000 }, cancel)) {
    const about = `job of "${job.vm.name}" (${job.outcome?.kind} ${job.outcome?.code}: ${job.outcome?.message})`
    expect(job.state, about).toBe('done')
    expect(job.claim, about).toBeNull()
    expect(job.nextStage, about).toBeNull()
    expect(job.outcome?.message, about).toMatch(/^[A-Z"0-9].{10,}[^.\s]$/s)
    expect(withPoint.has(job.id), about).toBe(job.outcome?.kind === 'success' || job.outcome?.kind === 'warning')
    if (!job.notices.some(({ code }) => code === 'left-behind')) expect(job.owes, about).toEqual([])
    for (const { resource } of job.owes.filter((debt) => debt.kind === 'place'))
      expect.fail(`${about} keeps ${resource}`)
  }
  const known = new Set((await world.jobStore.recentJobs({ limit: 10_000 }, cancel)).map((job) => job.id))
  for (const vm of world.vcenter.vms) {
    const left = ourSnapshots(vm).filter((name) =>
      known.has(parseSnapshotName(name)?.job ?? parseJobId('0'.repeat(32))),
    )
    expect(left, `snapshots of ours on "${vm.name}"`).toEqual([])
    expect(vm.consolidationNeeded).toBe(false)
    const places = await world.jobStore.resources.get(`vm/${vm.vmId}`, cancel)
    expect(places?.value.places ?? []).toEqual([])
  }
  for (const resource of [moversResource, ...(await admissionResources(world))]) {
    const found = await world.jobStore.resources.get(resource, cancel)
    expect(found?.value.places ?? [], resource).toEqual([])
    expect(found?.value.waiters ?? [], resource).toEqual([])
  }
  expect(engine.buried).toEqual([])
  if (restores) expect((await Promise.all(points.map((point) => wrongDisks(world, point)))).flat()).toEqual([])
}

/** Every resource of vCenter, host and datastore that a job has ever known to need. */
async function admissionResources({ jobStore, limits }: World): Promise<readonly string[]> {
  const jobs = await jobStore.recentJobs({ limit: 10_000 }, cancel)
  const wishes = jobs.flatMap(({ footing, grant }) =>
    footing === null || grant === null ? [] : wishesFor(footing, grant, limits.admission),
  )
  return [...new Set(wishes.map(({ resource }) => resource))]
}

export function ourSnapshots(vm: { readonly snapshots: readonly { readonly name: string }[] }): readonly string[] {
  return vm.snapshots.map(({ name }) => name).filter((name) => parseSnapshotName(name) !== null)
}
