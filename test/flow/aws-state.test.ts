// Backups through all stages and the engine's loop, with state on DynamoDB (dynalite) and messages on SQS (fauxqs) over HTTP. Every message
// comes twice; of every few requests to either the answer is lost, or the request, or the service says that it cannot now. The
// world's clock runs thirty times as fast as the machine's, and so does the Date that fauxqs goes by.

import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { dynamoJobStore } from '../../lib/adapters/aws/job-store.ts'
import { sqsQueue } from '../../lib/adapters/aws/queue.ts'
import { memoryLog } from '../../lib/adapters/memory/log.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { manualClock, systemClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { claimsOf, defaultEngineLimits, type EngineParts, runEngine } from '../../lib/compose/engine.ts'
import { installVirtualTime } from '../cloud/virtual-time.ts'
import { type Mishap, type Mishaps, refusal } from '../kit/http-proxy.ts'
import { openSqsPeer, PEER_PLACE } from '../kit/sqs-peer.ts'
import { openTable } from '../kit/state-table.ts'
import { expectRest, request } from '../stages/backups.ts'
import { isOver, jobsOf, newEngine } from '../stages/engine.ts'
import { addVm, cancel, newWorld, type World } from '../stages/world.ts'

const SPEED = 30
const STEP_MS_MAX = 20
const time = installVirtualTime()

/** Of the calls that write, every third meets something, in turn. */
function everyThird(met: string[], kinds: readonly Mishap[]): Mishaps {
  let writes = 0
  return ({ operation }) => {
    if (!/^(PutItem|UpdateItem|SendMessage)$/.test(operation) || ++writes % 3 !== 0) return null
    met.push(operation)
    return kinds[(writes / 3) % kinds.length] ?? null
  }
}

async function openWorld() {
  await using open = new AsyncDisposableStack()
  const random = seededRandom(7)
  const clock = manualClock(Date.now())
  const met: string[] = []
  const lost: readonly Mishap[] = ['answer-lost', 'answer-lost', 'request-lost']
  const dynamo = open.use(
    await openTable({ mishaps: everyThird(met, [...lost, refusal(500, 'InternalServerError')]), random }),
  )
  const sqs = open.use(await openSqsPeer({ receivesMax: 50, mishaps: everyThird(met, lost) }))
  const { endpoint, urlOf, deadLetterUrl } = sqs
  const queue = sqsQueue({
    ...PEER_PLACE,
    endpoint,
    urlOf,
    deadLetterUrl,
    log: memoryLog(),
    clock: systemClock,
    random,
  })
  const world = await newWorld({ clock, jobStore: dynamoJobStore(dynamo.table, { clock }), queue })
  world.onSend = () => 'twice'
  world.guestsWrite = false
  const kept = open.move()
  return { world, met, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** Runs an engine until `done`. */
async function runUntil(world: World, done: () => Promise<boolean>): Promise<void> {
  const process = { name: 'engine', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const engineId = 'engine-1'
  const parts: EngineParts = {
    deps: { ...world.depsOf(process), isClaimLive: claimsOf(engineId) },
    queue: world.queue,
    engineId,
    runningMax: 4,
    limits: { ...defaultEngineLimits, idleMs: 1_000 },
    isEnding: () => false,
  }
  const stop = new AbortController()
  let over = false
  const running = runEngine(parts, { signal: stop.signal }).finally(() => {
    over = true
  })
  const passing = (async () => {
    let lastMs = performance.now()
    while (!over) {
      await delay(1)
      const nowMs = performance.now()
      // A machine that stands still for a while lets no claim lapse.
      const stepMs = Math.min(nowMs - lastMs, STEP_MS_MAX) * SPEED
      world.clock.advance(stepMs)
      time.setAheadMs(time.aheadMs() + stepMs)
      lastMs = nowMs
    }
  })()
  try {
    while (!over && !(await done())) await delay(20)
  } finally {
    stop.abort(new Error('enough'))
  }
  await Promise.all([running, passing])
}

it('a backup and the next one end well, though every message comes twice and answers are lost', {
  timeout: 60_000,
}, async () => {
  await using opened = await openWorld()
  const { world, met } = opened
  const names = ['db-1', 'db-2']
  for (const name of names) addVm(world, { name, diskBytes: [256 * KiB] })
  for (let backup = 1; backup <= 2; backup++) {
    const run = await request(world, { vms: names })
    await runUntil(world, () => isOver(world, run))
    const jobs = await jobsOf(world, run)
    expect(jobs.map(({ vm, outcome }) => [vm.name, outcome?.kind])).toEqual(names.map((name) => [name, 'success']))
    expect(jobs.map(({ attempt, freezes }) => [attempt, freezes])).toEqual(names.map(() => [1, 0]))
  }
  await expectRest(newEngine(world))
  const points = await world.jobStore.recentPoints({ limit: 10 }, cancel)
  expect(points.map(({ vmName, sequence }) => `${vmName} ${sequence}`).toSorted()).toEqual([
    'db-1 1',
    'db-1 2',
    'db-2 1',
    'db-2 2',
  ])
  expect(world.vcenter.vms.every((vm) => vm.snapshots.length === 0)).toBe(true)
  expect(new Set(met)).toEqual(new Set(['PutItem', 'UpdateItem', 'SendMessage']))
  expect(met.length).toBeGreaterThan(20)
})
