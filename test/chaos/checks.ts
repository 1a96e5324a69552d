// What must be true of a run once nothing happens any more: of every point, job, snapshot and place.

import type { Job } from '../../lib/model/job.ts'
import { listAnnotations } from '../../lib/repository/annotations.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { allPoints, jobIdOfPoint, wrongDiskKeys } from '../stages/backups.ts'
import { cancel } from '../stages/world.ts'
import { isOurs, isUnseen, type Play } from './play.ts'

export type Findings = {
  /** What is not as it must be. */
  readonly faults: readonly string[]
  readonly points: number
  readonly disks: number
  readonly wrongDisks: number
  /** Disks with older bytes whose points say that they are unproven. */
  readonly unprovenDisks: number
  /** Disks with older bytes that no audit came by before later changes wrote over them: only where less than all is audited. */
  readonly unseenDisks: number
  readonly orphans: number
  readonly leakedPlaces: number
  readonly crowded: number
  /** Of jobs: "success ok", "failed snapshot-changed", … */
  readonly outcomes: readonly string[]
}

export async function check(play: Play): Promise<Findings> {
  const { world } = play
  const jobs = await world.jobStore.recentJobs({ limit: 10_000 }, cancel)
  const points = await allPoints(world)
  const { wrong, unproven, unseen } = await bytesOf(play, points)
  const orphans = orphansOf(play)
  const leaked = await leakedOf(play)
  return {
    faults: [
      ...wrong.map((disk) => `Restored bytes are not what was frozen: ${disk}`),
      ...orphans,
      ...leaked,
      ...play.crowded,
      ...foreignOf(play),
      ...jobs.flatMap((job) => jobFaults(job, points)),
      ...(await runFaults(play)),
      ...healingFaults(play, jobs),
      ...(new Set(points.map(jobIdOfPoint)).size === points.length ? [] : ['A job has two points']),
    ],
    points: points.length,
    disks: points.reduce((sum, { envelope }) => sum + envelope.disks.length, 0),
    wrongDisks: wrong.length,
    unprovenDisks: unproven,
    unseenDisks: unseen,
    orphans: orphans.length,
    leakedPlaces: leaked.length,
    crowded: play.crowded.length,
    outcomes: jobs.map(({ outcome }) => (outcome === null ? 'none' : `${outcome.kind} ${outcome.code}`)),
  }
}

type Bytes = { readonly wrong: readonly string[]; readonly unproven: number; readonly unseen: number }

/** Restores every disk of every point, and compares. */
async function bytesOf({ world, plan }: Play, points: readonly StoredPoint[]): Promise<Bytes> {
  const { annotations, unreadable } = await listAnnotations({ repository: world.repository }, cancel)
  const wrong = unreadable.map(({ ref }) => `what is said of ${ref.vmId}@${ref.sequence} cannot be read`)
  const audits = plan.rounds.flat().map(({ policy }) => policy.changeTracking.auditPercent)
  const mayMiss = isUnseen(plan) && Math.min(...audits) < 100
  let [unproven, unseen] = [0, 0]
  for (const point of points) {
    const { vmId, sequence, pointId } = point.envelope
    const isNewest = !points.some(({ envelope }) => envelope.vmId === vmId && envelope.sequence > sequence)
    const said = annotations
      .filter((one) => one.pointId === pointId)
      .flatMap((one) => (one.said?.kind === 'unproven' ? one.said.diskKeys : []))
    for (const key of await wrongDiskKeys(world, point)) {
      if (isUnseen(plan) && said.includes(key)) unproven++
      else if (mayMiss && !isNewest) unseen++
      else wrong.push(`${point.body.vmName}@${sequence} disk ${key}`)
    }
  }
  return { wrong, unproven, unseen }
}

/** Snapshots of ours, and disks that are not merged. */
export function orphansOf({ world }: Play): readonly string[] {
  return world.vcenter.vms.flatMap((vm) => [
    ...vm.snapshots.filter(({ name }) => isOurs(name)).map(({ name }) => `Snapshot "${name}" is left on "${vm.name}"`),
    ...(vm.consolidationNeeded ? [`"${vm.name}" still needs consolidation`] : []),
  ])
}

/** A place that has not lapsed is held by nobody who lives: every job is done. */
async function leakedOf({ world, resources }: Play): Promise<readonly string[]> {
  const leaked: string[] = []
  for (const name of resources) {
    const found = await world.jobStore.resources.get(name, cancel)
    for (const { holder, untilMs } of found?.value.places ?? [])
      if (untilMs > world.clock.nowMs()) leaked.push(`"${holder}" still holds a place of "${name}"`)
  }
  return leaked
}

function foreignOf({ world, foreign }: Play): readonly string[] {
  const there = new Set(world.vcenter.vms.flatMap((vm) => vm.snapshots.map(({ moref }) => moref)))
  return [...foreign]
    .filter((moref) => !there.has(moref))
    .map((moref) => `Snapshot "${moref}" of another product is gone`)
}

function jobFaults(job: Job, points: readonly StoredPoint[]): readonly string[] {
  const { state, outcome, notices, owes, claim, nextStage, freezeDeadlineMs } = job
  const about = `Job ${job.id.slice(0, 8)} of "${job.vm.name}"`
  if (state !== 'done' || outcome === null) return [`${about} is "${state}", waiting for ${job.waitsFor ?? 'nothing'}`]
  const faults: string[] = []
  const hasPoint = points.some((point) => jobIdOfPoint(point) === job.id)
  const isGood = outcome.kind === 'success' || outcome.kind === 'warning'
  if (hasPoint !== isGood)
    faults.push(`${about} ended as ${outcome.kind} ${outcome.code} with${hasPoint ? '' : 'out'} a point`)
  if (!/^[A-Z"0-9].{10,}[^.\s]$/s.test(outcome.message)) faults.push(`${about} says: ${outcome.message}`)
  if (outcome.code === '') faults.push(`${about} has no code`)
  if (outcome.kind === 'failed' && outcome.hint === null)
    faults.push(`${about} failed as ${outcome.code} without a hint`)
  if (claim !== null || nextStage !== null) faults.push(`${about} is done and not at rest`)
  if (freezeDeadlineMs !== null) faults.push(`${about} may still have a frozen guest`)
  if (owes.length > 0 && !notices.some(({ code }) => code === 'left-behind'))
    faults.push(`${about} still owes ${JSON.stringify(owes)}`)
  return faults
}

async function runFaults({ world }: Play): Promise<readonly string[]> {
  const runs = await world.jobStore.recentRuns({ limit: 10_000 }, cancel)
  return runs.flatMap(({ id, state, refusal }) => {
    if (state === 'requested') return [`Run ${id.slice(0, 8)} was never planned`]
    const hasWords = refusal !== null && refusal.code !== '' && refusal.hint !== null
    return state === 'refused' && !hasWords
      ? [`Run ${id.slice(0, 8)} was refused without code or hint: ${refusal?.message}`]
      : []
  })
}

/** Calm again, every VM that can be backed up is; and without faults all was calm from the start. */
function healingFaults({ world, plan }: Play, jobs: readonly Job[]): readonly string[] {
  const faults: string[] = []
  for (const vm of world.vcenter.vms) {
    const last = jobs.find((job) => job.vm.vmId === vm.vmId)
    const isGood = last?.outcome?.kind === 'success' || last?.outcome?.kind === 'warning'
    if (!isGood)
      faults.push(
        `The last backup of "${vm.name}", in calm, ended as ${last?.outcome?.code}: ${last?.outcome?.message}`,
      )
  }
  if (plan.faults.length > 0) return faults
  const unexpected = jobs.filter(({ outcome }) => outcome?.kind === 'failed' && outcome.code !== 'foreign-snapshot')
  return [...faults, ...unexpected.map(({ outcome }) => `Without a fault: ${outcome?.code}: ${outcome?.message}`)]
}
