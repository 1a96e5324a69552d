// One run: a backup that is struck as its plan says, then what others do about it, until nothing happens any more.

import { setTimeout as sleep } from 'node:timers/promises'
import { requestRun } from '../../lib/doors/request-run.ts'
import type { Job } from '../../lib/model/job.ts'
import { type Choice, chaos, noChaos } from '../stages/chaos.ts'
import { isOver, jobsOf } from '../stages/engine.ts'
import { cancel } from '../stages/world.ts'
import { callFollower, type SeenCall } from './calls.ts'
import { check, type Report } from './checks.ts'
import type { CutPlan, Plan } from './plan.ts'
import { policyOf } from './scripts.ts'
import { FREEZE_LIMIT_MS, openSite, type Site, VM } from './site.ts'
import { within } from './within.ts'
import { startWorker, type Worker } from './workers.ts'

/** How long a run may take to come to rest; a machine with other work gets there as well. */
const REST_MS = 90_000
/** How long after the limit everything of a freeze must have ended in the guest. */
const QUIET_MS = 15_000

export type RunResult = Report & {
  readonly plan: Plan
  readonly elapsedMs: number
  /** Whether the call that was to be struck came. */
  readonly struck: boolean
  /** The calls of the first process from the write of its freeze to the end of its thaw. */
  readonly calls: readonly SeenCall[]
  /** What the product logged. */
  readonly log: readonly string[]
}

type Play = {
  readonly site: Site
  readonly plan: Plan
  readonly workers: Worker[]
  readonly calls: SeenCall[]
  readonly follow: ReturnType<typeof callFollower>
  struck: boolean
  cutDone: boolean
  /** Nobody comes any more. */
  over: boolean
  /** Resolves when the first process falls. */
  readonly fallen: PromiseWithResolvers<void>
}

export async function carryOut(plan: Plan): Promise<RunResult> {
  const startedMs = performance.now()
  await using site = await openSite({ seed: plan.seed * 1_000_003 + plan.number, snapshotMs: plan.snapshotMs })
  await using stack = new AsyncDisposableStack()
  const play: Play = {
    ...{ site, plan, workers: [], calls: [], follow: callFollower(), struck: false, cutDone: false, over: false },
    fallen: Promise.withResolvers(),
  }
  // Before the workers are stopped, whose fall would call others.
  using _end = { [Symbol.dispose]: () => endOf(play) }

  prepare(play)
  const { world } = site
  world.chaos = chaos((call) => (call.process === 'first' ? strikeAt(play, call) : null))
  await start(play, { stack, name: 'first', works: true, watches: plan.watch === 'inside' })
  if (plan.watch === 'beside' || plan.watch === 'early')
    await start(play, { stack, name: 'watch', works: false, watches: true })
  const asked = {
    door: 'api',
    policy: await policyOf(world, plan),
    vms: [VM],
    key: `${plan.seed}/${plan.number}`,
  } as const
  const door = { name: 'door', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const run = await requestRun(asked, world.depsOf(door), cancel)

  const over = async () => (await isOver(world, run)) && !standsStill(play)
  const succeeded = follow(play, stack)
  const lonely = play.fallen.promise.then(() => plan.successorMs === null && plan.strike?.blow !== 'pause')
  const rested = await within(REST_MS, async () => (await over()) || (await settled(lonely)))
  await Promise.race([succeeded, sleep(100)])
  if (plan.strike?.blow === 'stop' && play.struck) await Promise.race([play.workers[0]?.stop(), timeLimit(REST_MS)])
  // Whoever has just woken up finishes what it is at.
  if (plan.strike?.blow === 'pause' && play.struck) await sleep(1_000)
  await within(FREEZE_LIMIT_MS + QUIET_MS, async () => site.programs().length === 0)
  const [job] = await jobsOf(world, run)
  const isDeserted = play.struck && plan.successorMs === null && plan.strike?.blow !== 'pause'
  const report = await check(site, { plan, job: job ?? null, mustEnd: !isDeserted })
  const isZombie = play.struck && plan.strike?.blow === 'pause'
  const again = rested && isZombie ? await secondBackup(play, stack) : []
  return {
    ...report,
    faults: [...report.faults, ...again],
    ...{ plan, elapsedMs: Math.round(performance.now() - startedMs), struck: play.struck, calls: play.calls },
    log: world.log.lines.map(({ level, event, facts }) => `${level} ${event} ${JSON.stringify(facts)}`),
  }
}

function endOf(play: Play): void {
  play.over = true
}

function prepare({ site, plan }: Play): void {
  const { machine, scenario } = site
  const { ms, times } = plan.snapshotDelay
  if (ms > 0) {
    const mishap = { kind: 'delay', delayMs: ms } as const
    scenario.arm({ call: 'CreateSnapshot_Task', when: { kind: 'nth', nth: 1 }, times, mishap })
  }
  machine.quiescing.failNext(Array.from({ length: plan.quiesceFaults }, () => 'ApplicationQuiesceFault' as const))
  machine.quiescing.whenHeld = plan.whenHeld
}

type Starting = {
  readonly stack: AsyncDisposableStack
  readonly name: string
  readonly works: boolean
  readonly watches: boolean
}

async function start(play: Play, { stack, name, works, watches }: Starting): Promise<void> {
  const { plan, fallen } = play
  const onFall = () => (name === 'first' ? fallen.resolve() : undefined)
  const skewMs = name === 'watch' && plan.watch === 'early' ? plan.skewMs : 0
  play.workers.push(stack.use(await startWorker(play.site, { name, works, watches, skewMs, onFall })))
}

/** The next process comes when the first has fallen. */
async function follow(play: Play, stack: AsyncDisposableStack): Promise<void> {
  await play.fallen.promise
  const { successorMs, watch } = play.plan
  if (successorMs === null || play.over) return
  await sleep(successorMs)
  if (play.over) return
  await start(play, { stack, name: 'second', works: true, watches: watch === 'inside' })
}

function standsStill({ workers, plan, struck }: Play): boolean {
  return struck && plan.strike?.blow === 'pause' && workers[0]?.wire.state() === 'still'
}

type Call = { readonly name: string; readonly args: readonly unknown[] }

function strikeAt(play: Play, { name, args }: Call): Choice {
  const seen = play.follow(name, args)
  if (seen === null) return null
  play.calls.push(seen)
  cutAt(play, seen)
  const { strike } = play.plan
  if (strike === null || play.struck || seen.freeze !== strike.freeze) return null
  if (seen.call !== strike.point.call || seen.nth !== strike.point.nth) return null
  play.struck = true
  const { when, blow, duringMs, wakeMs } = strike
  if (when === 'during') {
    void sleep(duringMs).then(() => fallLater(play, blow))
    return null
  }
  return blow === 'pause' ? { when, blow, until: sleep(wakeMs) } : { when, blow }
}

function fallLater({ workers: [first], plan }: Play, blow: 'kill' | 'stop' | 'pause'): void {
  if (blow === 'kill') first?.kill()
  else if (blow === 'pause') first?.pause(sleep(plan.strike?.wakeMs ?? 0))
  else void first?.stop()
}

function cutAt(play: Play, { call, freeze }: SeenCall): void {
  const { cut } = play.plan
  if (cut === null || play.cutDone || freeze !== 1) return
  const { afterMs } = cut
  if (call !== (afterMs === null ? 'guest.run thaw' : 'jobs.replace freeze')) return
  play.cutDone = true
  if (afterMs === null) cutNow(play, cut)
  else void sleep(afterMs).then(() => cutNow(play, cut))
}

function cutNow({ site, workers }: Play, { what, running, backMs }: CutPlan): void {
  const set = (away: boolean) => {
    const [before, after] = away ? (['open', 'away'] as const) : (['away', 'open'] as const)
    if (what === 'vcenter') for (const { wire } of workers) if (wire.state() === before) wire.set(after)
    if (what === 'network' || what === 'guest') site.network = away ? 'away' : 'there'
    if (what === 'tools' || what === 'guest') site.machine.tools.operationsDisabled = away
  }
  set(true)
  if (site.network === 'away') for (const channel of site.channels) channel.cut(running)
  if (backMs !== null) void sleep(backMs).then(() => set(false))
}

/** What a process that woke up late has left must not trouble the next backup, which also removes it. */
async function secondBackup(play: Play, stack: AsyncDisposableStack): Promise<readonly string[]> {
  const { site, plan, workers } = play
  const { world, machine } = site
  await Promise.race([Promise.all(workers.map((worker) => worker.stop())), timeLimit(20_000)])
  world.chaos = noChaos()
  site.network = 'there'
  machine.tools.operationsDisabled = false
  const calm = { ...plan, ending: 'plain', strike: null, cut: null, require: 'crash', mode: 'try' } as const
  await start(play, { stack, name: 'third', works: true, watches: true })
  const asked = {
    door: 'api',
    policy: await policyOf(world, calm),
    vms: [VM],
    key: `${plan.seed}/${plan.number}/b`,
  } as const
  const door = { name: 'door', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const run = await requestRun(asked, world.depsOf(door), cancel)
  if (!(await within(REST_MS, () => isOver(world, run)))) return ['The backup after it did not come to an end']
  const [job] = await jobsOf(world, run)
  const left = machine.snapshots.map(({ name }) => `Snapshot "${name}" is left after the next backup`)
  return [...(isGood(job) ? [] : [`The backup after it: ${job?.outcome?.code}: ${job?.outcome?.message}`]), ...left]
}

function isGood(job: Job | undefined): boolean {
  return job?.outcome?.kind === 'success' || job?.outcome?.kind === 'warning'
}

/** Keeps nothing alive. */
function timeLimit(ms: number): Promise<void> {
  return sleep(ms, undefined, { ref: false })
}

async function settled(promise: Promise<boolean>): Promise<boolean> {
  return await Promise.race([promise, Promise.resolve(false)])
}
