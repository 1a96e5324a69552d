// kill -9 at seeded moments of a backup, of the engine, of its mover, or of both; then the work goes on to success.
// COLDFRAME_KILLS: how many kills; COLDFRAME_SEED: which moments. A moment is a number of calls that vCenter has seen
// since the start, plus some milliseconds, so that it does not depend on how fast the machine is.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type Random, seededRandom, wholeNumber } from '../../lib/base/random.ts'
import {
  backUp,
  childrenOf,
  damagedPoints,
  differencesOf,
  type Home,
  jobsOf,
  type ListedJob,
  openHome,
  openSim,
  pointsOf,
  processesOf,
  type Running,
  type Sim,
  snapshotsIn,
} from '../flow/kit.ts'

const kills = Number(process.env['COLDFRAME_KILLS'] ?? 12)
const seed = Number(process.env['COLDFRAME_SEED'] ?? Date.now() % 1_000_000)
const LIMIT_MS = 120_000
/** How often a job is tried, and how it fails when every try was killed. */
const ATTEMPTS = 3
const KILLED = ['mover-died', 'capture-interrupted']
const linux = existsSync('/proc/self/environ')

describe.skipIf(!linux).concurrent('a local backup that is killed', () => {
  it(
    `ends every job, leaves no snapshot and loses no point, after ${kills} kills (COLDFRAME_SEED=${seed})`,
    async () => {
      const random = seededRandom(seed)
      await using sim = await openSim('--estate', 'small', '--guest-write-every-ms', '30', '--snapshot-ms', '30')
      await using home = await openHome(sim)
      await backUp(home, ['app-01'])
      await sim.arm({ call: '/folder', chance: 1, mishap: { kind: 'delay', delayMs: 40 } })
      const before = await callCount(sim)
      await backUp(home, ['app-01'])
      const calls = (await callCount(sim)) - before

      const told: string[] = []
      for (let kill = 0; kill < kills; kill++) {
        await sim.write(20_000)
        const victim = (['engine', 'mover', 'both'] as const)[kill % 3] ?? 'engine'
        told.push(`${victim}: ${await killOnce({ sim, home, victim, calls, random })}`)
      }
      const last = await home.run(['backup', '--vm', 'app-01'], { limitMs: LIMIT_MS })
      expect(last.exitCode, `${told.join('\n')}\n${last.stderr}\n${last.stdout}`).toBe(0)

      // A command ends with its own run; an earlier one's job that has no snapshot yet may wait for the next command.
      for (let again = 0; again < 3 && (await jobsOf(home)).some(({ state }) => state !== 'done'); again++) {
        await backUp(home, ['app-01'])
      }
      await expectAllWell(home, sim, told)
      const points = await pointsOf(home)
      const restored = [
        points[0],
        points[1],
        points.at(-1),
        points[wholeNumber(random, { low: 0, high: points.length - 1 })],
      ]
      for (const point of new Set(restored)) {
        if (point !== undefined) expect(await differencesOf(home, point, sim), told.join('\n')).toEqual([])
      }
    },
    240_000 + kills * 30_000,
  )

  it('may be killed while it makes its state and its repository', async () => {
    const random = seededRandom(seed)
    await using sim = await openSim('--estate', 'small', '--snapshot-ms', '30')
    await using home = await openHome(sim)
    for (const made of [home.repository, join(home.folder, 'home'), join(home.repository, 'repo')]) {
      const running = home.start(['backup', '--vm', 'cold-01'], { limitMs: LIMIT_MS })
      await until(() => existsSync(made), running)
      await sleep(wholeNumber(random, { low: 0, high: 40 }))
      kill(running.pid)
      await running.ended
    }
    await backUp(home, ['cold-01'])
    const points = await pointsOf(home)
    expect(points.length).toBeGreaterThan(0)
    expect(await damagedPoints(home)).toEqual([])
    expect(await snapshotsIn(sim)).toEqual([])
    await untilNoProcess(home)
  }, 180_000)

  it('is finished by the command that waited for it', async () => {
    await using sim = await openSim('--estate', 'small', '--snapshot-ms', '30')
    await using home = await openHome(sim)
    await sim.arm({ call: '/folder', chance: 1, mishap: { kind: 'delay', delayMs: 300 } })
    const first = home.start(['backup', '--vm', 'app-01'], { limitMs: LIMIT_MS })
    await until(() => childrenOf(first.pid).length > 0, first)
    const second = home.start(['backup', '--vm', 'db-01'], { limitMs: LIMIT_MS })
    await heard(second, 'Another process works')
    first.child.kill('SIGKILL')
    const ended = await second.ended
    expect(ended.exitCode, ended.stderr).toBe(0)
    expect(ended.stderr).toContain('this one goes on in its place')
    // What the killed command asked for may still be under way: the next command ends it.
    await backUp(home, ['cold-01'])
    await expectAllWell(home, sim, [])
    expect((await jobsOf(home)).map((job) => `${job.vm.name} ${job.outcome?.kind}`).sort()).toEqual([
      'app-01 success',
      'cold-01 success',
      'db-01 success',
    ])
  }, 180_000)

  it('ends with 130 when it is interrupted, and the next command ends what it began', async () => {
    await using sim = await openSim('--estate', 'small', '--snapshot-ms', '30')
    await using home = await openHome(sim)
    await sim.arm({ call: '/folder', chance: 1, mishap: { kind: 'delay', delayMs: 300 } })
    const first = home.start(['backup', '--vm', 'app-01'], { limitMs: LIMIT_MS })
    await until(() => childrenOf(first.pid).length > 0, first)
    first.child.kill('SIGINT')
    const ended = await first.ended
    expect(ended.exitCode, ended.stderr).toBe(130)
    expect(ended.document).toMatchObject({
      ok: false,
      error: { code: 'interrupted', hint: expect.stringMatching(/backup/) },
    })
    await untilNoProcess(home)
    await sim.calm()
    await backUp(home, ['cold-01'])
    await backUp(home, ['app-01'])
    await expectAllWell(home, sim, [])
    expect((await pointsOf(home)).map((point) => `${point.vm}@${point.sequence}`).sort()).toEqual([
      'app-01@1',
      'app-01@2',
      'cold-01@1',
    ])
  }, 180_000)

  it('two commands at once in one home both succeed, by one engine at a time', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    const both = [
      ['app-01', 'db-01'],
      ['cold-01', 'app-01'],
    ].map((names) => home.start(['backup', ...names.flatMap((name) => ['--vm', name])], { limitMs: LIMIT_MS }))
    for (const running of both) {
      const ended = await running.ended
      expect(ended.exitCode, ended.stderr).toBe(0)
    }
    await expectAllWell(home, sim, [])
    expect((await pointsOf(home)).map((point) => `${point.vm}@${point.sequence}`).sort()).toEqual([
      'app-01@1',
      'app-01@2',
      'cold-01@1',
      'db-01@1',
    ])
    const engines = (await readFile(join(home.folder, 'home', 'log', 'engine.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .flatMap((line) => (JSON.parse(line) as { engine?: string }).engine ?? [])
    const turns = engines.filter((engine, index) => engine !== engines[index - 1])
    expect(turns).toEqual([...new Set(turns)])
  }, 180_000)
})

type Kill = {
  readonly sim: Sim
  readonly home: Home
  readonly victim: 'engine' | 'mover' | 'both'
  /** How many calls an unharmed backup makes. */
  readonly calls: number
  readonly random: Random
}

/** @returns what was killed and when, in words */
async function killOnce({ sim, home, victim, calls, random }: Kill): Promise<string> {
  const start = await callCount(sim)
  const after = wholeNumber(random, { low: 0, high: calls })
  const delayMs = wholeNumber(random, { low: 0, high: 200 })
  const running = home.start(['backup', '--vm', 'app-01'], { limitMs: LIMIT_MS })
  const moment = `after ${after} of ${calls} calls and ${delayMs} ms`
  await until(async () => (await callCount(sim)) - start >= after, running)
  if (victim !== 'engine') await until(() => childrenOf(running.pid).length > 0, running)
  await sleep(delayMs)
  const [mover] = childrenOf(running.pid)
  if (victim !== 'engine' && mover !== undefined) kill(mover)
  if (victim !== 'mover') kill(running.pid)
  const ended = await running.ended
  // A killed mover alone is replaced by the engine that lives.
  if (victim === 'mover') expect(ended.exitCode, `${moment}\n${ended.stderr}\n${ended.stdout}`).toBe(0)
  const job = (ended.document?.data as { jobs?: { attempt: number }[] } | undefined)?.jobs?.[0]
  return `${moment}: ${ended.endSignal ?? `exit ${ended.exitCode}, attempt ${job?.attempt}`}`
}

/** Nothing of ours is left anywhere, and everything that was made is whole. */
async function expectAllWell(home: Home, sim: Sim, told: readonly string[]): Promise<void> {
  const why = told.join('\n')
  const jobs = await jobsOf(home)
  expect(jobs.filter(isUnwell), why).toEqual([])
  expect(await snapshotsIn(sim), why).toEqual([])
  expect(
    (await sim.machines()).filter((machine) => machine.consolidationNeeded),
    why,
  ).toEqual([])
  const points = await pointsOf(home)
  expect(points.map((point) => point.id).sort(), why).toEqual(jobs.flatMap((job) => job.pointId ?? []).sort())
  expect(await damagedPoints(home), why).toEqual([])
  await untilNoProcess(home)
}

/** A job ends well, unless each of its three attempts was killed: then it says so. */
function isUnwell({ state, owes, outcome, pointId, attempt }: ListedJob): boolean {
  if (state !== 'done' || owes.length > 0) return true
  if (outcome?.kind === 'success') return pointId === null
  return attempt < ATTEMPTS || pointId !== null || outcome?.kind !== 'failed' || !KILLED.includes(outcome.code)
}

async function untilNoProcess(home: Home): Promise<void> {
  for (let tries = 0; processesOf(home).length > 0; tries++) {
    if (tries > 100) throw new Error(`Processes are left behind: ${processesOf(home).join(', ')}`)
    await sleep(100)
  }
}

async function callCount(sim: Sim): Promise<number> {
  return Object.values(await sim.calls()).reduce((sum, count) => sum + count, 0)
}

/** Waits until something is so, or the command has ended. */
async function until(isSo: () => boolean | Promise<boolean>, { child }: Running): Promise<void> {
  while (child.exitCode === null && child.signalCode === null && !(await isSo())) await sleep(3)
}

function heard({ child, ended }: Running, text: string): Promise<void> {
  const hears = new Promise<void>((resolve) => {
    let heardText = ''
    child.stderr?.on('data', (part: string) => {
      heardText += part
      if (heardText.includes(text)) resolve()
    })
  })
  return Promise.race([
    hears,
    ended.then(({ stderr }) => {
      throw new Error(`The command ended without "${text}": ${stderr}`)
    }),
  ])
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}
