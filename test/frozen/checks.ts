// What must be true once nothing happens any more: in the guest, in vCenter, and of every restore point.

import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { parseSnapshotName } from '../../lib/model/ids.ts'
import type { Job } from '../../lib/model/job.ts'
import { diskReader } from '../../lib/repository/disk-reader.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { listPointRefs, readPoint } from '../../lib/repository/points.ts'
import { checkOneCut } from '../../sim/machine/record.ts'
import { cancel } from '../stages/world.ts'
import type { Plan } from './plan.ts'
import { FREEZE_LIMIT_MS, type Site } from './site.ts'
import { within } from './within.ts'

export type Freeze = {
  readonly number: number
  /** From the first line of pre-freeze to the first line of post-thaw, on the guest's clock. */
  readonly frozenMs: number
  readonly thawedBy: string
}

export type Report = {
  /** What is not as it must be. */
  readonly faults: readonly string[]
  readonly freezes: readonly Freeze[]
  /** Freezes that were thawed too late or never, and guests that are held in the end. */
  readonly leftFrozen: number
  /** The longest that the guest's writes were held by a script. */
  readonly heldMs: number
  /** Of the restore point; null where there is none. */
  readonly grade: string | null
  readonly outcome: string
}

/** How long after everything else the programs of the guest must have ended. */
const QUIET_MS = 15_000

type Ending = { readonly plan: Plan; readonly job: Job | null; readonly mustEnd: boolean }

export async function check(site: Site, ending: Ending): Promise<Report> {
  const { job } = ending
  const guest = await checkGuest(site, ending)
  const points = await pointsOf(site)
  const faults = [...guest.faults, ...checkJob(site, ending, points.length)]
  for (const point of points) faults.push(...(await checkPoint(site, { point, job, plan: ending.plan })))
  const { grade } = points[0]?.body ?? {}
  const outcome = job?.outcome == null ? (job?.state ?? 'no job') : `${job.outcome.kind} ${job.outcome.code}`
  const { freezes, leftFrozen, heldMs } = guest
  return { faults, freezes, leftFrozen, heldMs, grade: grade?.reached ?? null, outcome }
}

async function checkGuest(site: Site, { job, mustEnd }: Ending) {
  const faults: string[] = []
  const lines = (await site.logLines()).map((line) => line.split(' '))
  const of = (word: string, number: number) => lines.filter((line) => line[0] === word && Number(line[1]) === number)
  const freezes: Freeze[] = []
  let leftFrozen = 0
  for (const number of new Set(lines.map((line) => Number(line[1])))) {
    const [began, thawed] = [of('freeze', number), of('thaw', number)]
    if (began.length > 1) faults.push(`Pre-freeze ran ${began.length} times for freeze ${number}`)
    if (thawed.length > 1) faults.push(`Post-thaw ran ${thawed.length} times for freeze ${number}`)
    const [first, end] = [began[0], thawed[0]]
    if (first === undefined) continue
    if (end === undefined) {
      faults.push(`Freeze ${number} was never thawed`)
      leftFrozen++
      continue
    }
    const frozenMs = Math.round((Number(end[2]) - Number(first[2])) * 1000)
    freezes.push({ number, frozenMs, thawedBy: end[3] ?? 'unknown' })
    if (frozenMs >= 0 && frozenMs <= FREEZE_LIMIT_MS) continue
    faults.push(`Freeze ${number} was thawed after ${frozenMs} ms`)
    leftFrozen++
  }
  const { guest } = site.machine
  const holds = guest.holds.filter(({ by }) => by === 'script')
  const [held, begun] = ['held', 'freeze'].map((word) => lines.filter((line) => line[0] === word).length)
  if (guest.held) faults.push('The guest is held in the end')
  if (guest.held && leftFrozen === 0) leftFrozen++
  if (holds.length < (held ?? 0) || holds.length > (begun ?? 0))
    faults.push(`The guest was held ${holds.length} times, by ${begun} freezes of which ${held} succeeded`)
  // Somebody may look into the guest at this very moment: what counts is what stays.
  const isQuiet = await within(QUIET_MS, () => site.programs().length === 0)
  for (const line of isQuiet ? [] : site.programs()) faults.push(`It still runs in the guest: ${line.slice(0, 300)}`)
  const left = (await readdir(site.memory)).filter((name) => name.startsWith('coldframe-'))
  const excused = job?.notices.some(({ code }) => code === 'guest-left-behind') ?? false
  if (mustEnd && !excused && left.length > 0) faults.push(`The guest still has ${left.join(', ')}`)
  const heldMs = Math.max(0, ...holds.map(({ atMs, untilMs }) => (untilMs ?? Number.POSITIVE_INFINITY) - atMs))
  return { faults, freezes, leftFrozen, heldMs }
}

/** How a job may fail here: by what its policy requires, or because every try was struck. */
const FAILURES: ReadonlySet<string> = new Set(['grade-not-reached', 'guest-processing-failed', 'capture-interrupted'])

function checkJob({ machine }: Site, { plan, job, mustEnd }: Ending, points: number): readonly string[] {
  if (!mustEnd) return []
  if (job === null) return ['The run has no job']
  const faults: string[] = []
  const { state, outcome, owes } = job
  if (state !== 'done') faults.push(`The job is "${state}", waiting for ${job.waitsFor ?? 'nothing'}`)
  const isGood = outcome?.kind === 'success' || outcome?.kind === 'warning'
  if (state === 'done' && !isGood && !FAILURES.has(outcome?.code ?? ''))
    faults.push(`${outcome?.code}: ${outcome?.message}`)
  if (state === 'done' && points !== (isGood ? 1 : 0)) faults.push(`It ended as ${outcome?.kind} with ${points} points`)
  if (state === 'done' && owes.length > 0) faults.push(`It still owes ${JSON.stringify(owes)}`)
  const own = machine.snapshots.filter(({ name }) => parseSnapshotName(name) !== null)
  // One that wakes up after all others have finished may make a snapshot; the next backup removes it.
  if (plan.strike?.blow !== 'pause' && state === 'done' && own.length > 0)
    faults.push(`Snapshots are left: ${own.map(({ name }) => name).join(', ')}`)
  return faults
}

async function pointsOf({ world: { repository } }: Site): Promise<readonly StoredPoint[]> {
  const refs = await listPointRefs({ repository }, cancel)
  return Promise.all(refs.map((ref) => readPoint({ repository, ref }, cancel)))
}

type Claim = { readonly point: StoredPoint; readonly job: Job | null; readonly plan: Plan }

async function checkPoint(site: Site, { point, job, plan }: Claim): Promise<readonly string[]> {
  const faults: string[] = []
  const capture = job?.capture ?? null
  if (capture === null) return ['There is a restore point of a job that captured nothing']
  const disks = await Promise.all(point.envelope.disks.map((disk) => restored(site, point, disk)))
  const frozen = site.estate.ledger
    .reports()
    .filter(({ snapshot, createdAt }) => snapshot === capture.snapshotName && createdAt === capture.takenAt)
  const isFrozen = frozen.some((report) =>
    disks.every(({ key, sha256 }) => report.disks.some((one) => one.deviceKey === key && one.sha256 === sha256)),
  )
  if (disks.length !== 2 || !isFrozen) faults.push('The restored disks are not those that the snapshot froze')
  const cut = await checkOneCut(disks)
  if (!cut.oneCut || cut.lastSequence === 0) faults.push(`The disks are of several moments: ${cut.problems.join('; ')}`)
  const { grade } = point.body
  if (plan.require === 'application' && grade.reached !== 'application')
    faults.push(`The policy requires application, the point has ${grade.reached}`)
  if (grade.reached !== 'application') return faults
  const { thawedBy } = grade.proof ?? {}
  if (thawedBy !== 'capture' || grade.method !== 'scripts') faults.push(`It claims application, thawed by ${thawedBy}`)
  if (!(grade.freezeMs > 0 && grade.freezeMs <= FREEZE_LIMIT_MS)) faults.push(`Its freeze took ${grade.freezeMs} ms`)
  if (!cut.frozen) faults.push('It claims application, and the newest record on its disks is not that of a freeze')
  const cutMs = Date.parse(capture.takenAt)
  const inHold = ({ by, atMs, untilMs }: (typeof site.machine.guest.holds)[number]) =>
    by === 'script' && atMs <= cutMs && cutMs <= (untilMs ?? cutMs)
  if (!site.machine.guest.holds.some(inHold))
    faults.push('It claims application, and no script held the guest at the cut')
  return faults
}

async function restored(
  { world: { repository } }: Site,
  point: StoredPoint,
  disk: StoredPoint['envelope']['disks'][number],
) {
  const bytes = new Uint8Array(disk.capacityBytes)
  const reader = diskReader({ repository, domain: point.envelope.vmId, disk, cacheBytesMax: 0 })
  await reader.readRange({ offsetBytes: 0, target: bytes }, cancel)
  return {
    key: disk.key,
    capacityBytes: disk.capacityBytes,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    read: ({ offsetBytes, lengthBytes }: { readonly offsetBytes: number; readonly lengthBytes: number }) =>
      bytes.subarray(offsetBytes, offsetBytes + lengthBytes),
  }
}
