// One run: backups in a row while faults strike, then calm, one more backup of each VM, and a look at everything.

import { manualClock } from '../../lib/base/clock.ts'
import type { RunId } from '../../lib/model/ids.ts'
import { HUNT_ALL, hunt } from '../../lib/stages/hunt.ts'
import { request } from '../stages/backups.ts'
import { chaos, type Process } from '../stages/chaos.ts'
import { type Engine, isOver, newEngine, turnFor, turnUntil } from '../stages/engine.ts'
import { addVm, newWorld, writeSome } from '../stages/world.ts'
import { chooseForCall } from './call-faults.ts'
import { check, type Findings, orphansOf } from './checks.ts'
import { diceOf } from './dice.ts'
import type { FaultKind } from './fault-kinds.ts'
import { letHappen, takeForeign } from './happenings.ts'
import { lyingVsphere } from './lies.ts'
import { fateOf } from './message-faults.ts'
import type { Plan, RequestPlan } from './plan.ts'
import { isUnseen, MINUTE_MS, type Play } from './play.ts'

export type RunResult = Findings & {
  readonly plan: Plan
  readonly struck: Readonly<Partial<Record<FaultKind, number>>>
  readonly elapsedMs: number
  /** The same plan gives the same number of calls. */
  readonly calls: number
  /** What the product logged. */
  readonly log: readonly string[]
}

/** Longer than any process stands still, any task goes on, and any clock has jumped. */
const QUIET_MS = 6 * 60 * MINUTE_MS
/** Daily. */
const HUNTS_MAX = 3

export async function carryOut(plan: Plan): Promise<RunResult> {
  const startedMs = performance.now()
  const play = await openPlay(plan)
  const faults: string[] = []
  try {
    for (const [round, requests] of plan.rounds.entries()) {
      await backUp(play, requests, `round ${round}`)
      if (play.dice.hits(0.5)) void huntOnce(play)
      guestsWrite(play)
      await turnFor(play.engine, play.dice.number(1, 90) * MINUTE_MS)
    }
    await calmDown(play)
    await huntUntilClean(play)
    faults.push(...orphansOf(play))
    for (let turn = 1; turn <= turnsOf(plan); turn++) await backUp(play, [healing(plan)], `healing ${turn}`)
  } catch (error) {
    faults.push(`The run did not come to its end: ${error instanceof Error ? error.stack : String(error)}`)
  }
  const found = await check(play)
  return {
    ...found,
    faults: [...faults, ...play.violations, ...found.faults],
    plan,
    struck: Object.fromEntries(play.struck),
    elapsedMs: Math.round(performance.now() - startedMs),
    calls: play.world.chaos.calls.length + play.world.moverChaos.calls.length,
    log: play.world.log.lines.map(({ level, event, facts }) => `${level} ${event} ${JSON.stringify(facts)}`),
  }
}

async function openPlay(plan: Plan): Promise<Play> {
  const clock = manualClock()
  let jumpedMs = 0
  const jumping = { ...clock, nowMs: () => clock.nowMs() + jumpedMs }
  const seed = diceOf(plan.seed, plan.run, 'world').number(1, 2 ** 30)
  const world = await newWorld({ seed, clock: jumping, limits: { moversMax: plan.moversMax } })
  const engine: Engine = newEngine(world)
  engine.deliveriesMax = plan.deliveriesMax
  const play: Play = {
    ...{
      plan,
      engine,
      world,
      dice: diceOf(plan.seed, plan.run, 'play'),
      struck: new Map(),
      violations: [],
      crowded: [],
    },
    ...{ resources: new Set(), foreign: new Set(), away: [], calm: false },
    jumpMs: (ms) => {
      jumpedMs += ms
    },
  }
  for (const { name, diskBytes, tracking, foreign, poweredOn } of plan.vms) {
    const vm = addVm(world, { name, diskBytes, tracking: tracking && !foreign })
    vm.powerState = poweredOn ? 'poweredOn' : 'poweredOff'
    if (foreign) takeForeign(play, vm)
  }
  world.vsphere = lyingVsphere(play)
  world.onSend = (message) => fateOf(play, message)
  world.chaos = chaosOf(play)
  world.moverChaos = chaosOf(play)
  return play
}

function chaosOf(play: Play) {
  return chaos(({ name, process, args }) => {
    const [resource] = args
    if (name.startsWith('resources.') && typeof resource === 'string') play.resources.add(resource)
    // Whoever asks for a backup hears of its own failures and asks again.
    if (play.calm || process === 'door') return null
    letHappen(play, { name })
    return chooseForCall(play, { name, process, args })
  })
}

/** From the requests, made in one moment, until every job of theirs is done. */
async function backUp({ engine, world }: Play, requests: readonly RequestPlan[], name: string): Promise<void> {
  const ids: RunId[] = []
  for (const asked of requests) {
    const names = asked.vms?.filter((name) => world.vcenter.vms.some((vm) => vm.name === name))
    ids.push(await request(world, { ...asked, vms: names ?? null, key: `${name}/${ids.length}` }))
  }
  await turnUntil(engine, async () => {
    for (const id of ids) if (!(await isOver(world, id))) return false
    return true
  })
}

function guestsWrite({ world, dice }: Play): void {
  for (const vm of world.vcenter.vms) {
    const writes = dice.number(0, 4)
    for (let write = 0; write < writes && vm.disks.length > 0; write++) writeSome(world, vm, dice.pick(vm.disks).key)
  }
}

/** Nothing more goes wrong, what still goes on comes to its end, and other products take their snapshots away. */
async function calmDown(play: Play): Promise<void> {
  play.calm = true
  await turnFor(play.engine, QUIET_MS)
  for (const vm of play.world.vcenter.vms) {
    vm.powerState = 'poweredOn'
    Object.assign(vm.mishaps, {
      quiesceFails: 0,
      quiesceUnmarked: false,
      removalsUnconsolidated: 0,
      snapshotTakesMs: 0,
    })
  }
}

/** As a schedule has it, beside everything else; one that dies never comes to its end. */
async function huntOnce({ world }: Play): Promise<void> {
  const process: Process = { name: 'hunt', stop: new AbortController(), dead: false, onDeath: () => undefined }
  // What it cannot do the next one does.
  await hunt(HUNT_ALL, world.depsOf(process), { signal: process.stop.signal }).catch(() => undefined)
}

/** A few days, at most: what needs a second look gets it. */
async function huntUntilClean(play: Play): Promise<void> {
  for (let day = 0; day < HUNTS_MAX; day++) {
    let isOver = false
    void huntOnce(play).finally(() => {
      isOver = true
    })
    await turnUntil(play.engine, async () => isOver)
    if (orphansOf(play).length === 0) return
    await turnFor(play.engine, 24 * 60 * MINUTE_MS)
  }
}

/** As many as it takes for the audit to come by every byte once. */
function turnsOf(plan: Plan): number {
  const { auditPercent } = healing(plan).policy.changeTracking
  return isUnseen(plan) ? Math.ceil(100 / auditPercent) + 1 : 1
}

/** Every VM, by a way that reads below other products' snapshots. */
function healing({ rounds }: Plan): RequestPlan {
  const [first] = rounds[0] ?? []
  if (first === undefined) throw new Error('A plan has a request')
  return {
    door: 'api',
    vms: null,
    policy: { ...first.policy, transport: ['nbd'], attemptsMax: 3, disks: { exclude: [] } },
  }
}
