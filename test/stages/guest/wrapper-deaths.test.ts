// The wrapper's own processes are killed with SIGKILL at random moments. What must hold: what began to freeze is thawed by
// the guest itself, and nothing can begin afterwards. A failure prints its seed.

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type Random, seededRandom } from '../../../lib/base/random.ts'
import { removeWorkspace } from '../../../lib/stages/guest/workspace.ts'
import type { ProcessGuest } from '../../kit/process-guest.ts'
import { killAll } from '../../kit/process-tree.ts'
import { until } from '../../kit/programs.ts'
import { cancel, type Prepared, prepare, script, through } from './wrapper-kit.ts'

const seeds = Array.from({ length: 20 }, (_, index) => index + 1)

/** Five seeds at a time: most of each run is waiting. */
async function forSeeds(act: (seed: number) => Promise<void>): Promise<void> {
  for (let first = 0; first < seeds.length; first += 5) await Promise.all(seeds.slice(first, first + 5).map(act))
}

/** They take a while, so that death can come before, between and after what they write. */
const slow = [
  script('pre-freeze', 'echo begun >> "$DISK/record"; sleep 0.15; echo frozen >> "$DISK/record"\n'),
  script('post-thaw', 'sleep 0.05; echo thawed >> "$DISK/record"\n'),
]

/** The living processes of the guest with their command lines. */
async function commandsOf(guest: ProcessGuest): Promise<readonly { readonly pid: number; readonly words: string }[]> {
  const pids = await guest.processes()
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return pids.map((pid, index) => ({ pid, words: (texts[index] ?? '').replaceAll('\0', ' ') }))
}

/** Kills by command line until `call` is over; a moment of up to `mostMs` passes before each. */
async function strike(made: Prepared, { random, what, mostMs }: { random: Random; what: RegExp; mostMs: number }) {
  await delay(random.fraction() * mostMs)
  const found = (await commandsOf(made.guest)).filter(({ words }) => what.test(words))
  killAll(found.map(({ pid }) => pid))
  return found.length
}

async function isQuiet({ guest }: Prepared): Promise<boolean> {
  return (await guest.processes()).length === 0
}

/** Whatever happened before, nothing is frozen and nothing can begin. @returns the record */
async function expectThawed(made: Prepared, seed: number): Promise<readonly string[]> {
  await until(() => isQuiet(made), 20_000)
  const record = await made.lines()
  const answer = await made.thaw({ by: 'watch' })
  expect(await made.freeze(), `seed ${seed}`).toMatchObject({ kind: 'late' })
  expect(await made.lines(), `seed ${seed}`).toEqual(record)
  expect({ seed, began: answer.by !== null }).toEqual({ seed, began: record.length > 0 })
  if (answer.by !== null) expect(answer.postThaw).toMatchObject({ exitCode: 0, succeeded: true })
  return record
}

describe('when processes of the wrapper are killed', { timeout: 180_000 }, () => {
  it('a freeze whose shell dies is thawed by the timer, once', async () => {
    let began = 0
    await forSeeds(async (seed) => {
      await using made = await prepare({ scripts: slow })

      const random = seededRandom(seed)
      const freezing = made.freeze({ limitMs: 1000 }).catch(() => null)
      const struck = await strike(made, { random, what: /wrapper\.sh freeze /, mostMs: 450 })
      const answer = await freezing
      if (struck > 0) expect(answer, `seed ${seed}`).toBe(null)
      const record = await expectThawed(made, seed)
      expect(
        record.filter((line) => line === 'thawed'),
        `seed ${seed}`,
      ).toHaveLength(record.length > 0 ? 1 : 0)
      if (record.length > 0) {
        began++
        expect((await made.thaw()).by, `seed ${seed}`).toBe('timer')
      }
    })
    expect(began).toBeGreaterThan(3)
  })

  it('a thaw whose shell dies is completed, once, by whoever comes next', async () => {
    await forSeeds(async (seed) => {
      await using made = await prepare({ scripts: slow })

      const random = seededRandom(100 + seed)
      expect((await made.freeze({ limitMs: 1500 })).kind).toBe('held')
      const thawing = made.thaw().catch(() => null)
      await strike(made, { random, what: /wrapper\.sh thaw /, mostMs: 200 })
      await thawing
      expect(await expectThawed(made, seed), `seed ${seed}`).toEqual(['begun', 'frozen', 'thawed'])
    })
  })

  it('whatever dies but the timer, what began is thawed within the limit', async () => {
    await forSeeds(async (seed) => {
      await using made = await prepare({ scripts: slow })

      const random = seededRandom(200 + seed)
      const work = made.freeze({ limitMs: 1500 }).then(() => made.thaw())
      const ended = work.catch(() => null)
      for (let round = 0; round < 3; round++)
        await strike(made, { random, what: /^(?!.*wrapper\.sh timer).*./, mostMs: 150 })
      await ended
      await until(() => isQuiet(made), 20_000)
      const record = await made.lines()
      // A post-thaw that was killed itself is begun anew, so that it may be seen twice.
      if (record.length > 0) expect(record.at(-1), `seed ${seed}: ${record.join(' ')}`).toBe('thawed')
      expect((await made.thaw({ by: 'watch' })).by !== null, `seed ${seed}`).toBe(record.length > 0)
    })
  })

  it('a freeze whose connection is cut is thawed by the timer, whether its shell dies or goes on', async () => {
    for (const running of ['killed', 'left'] as const) {
      await using made = await prepare({ scripts: slow })

      const channel = made.guest.open()
      const freezing = through(made, channel).freeze({ limitMs: 1500 })
      freezing.catch(() => {})
      await until(async () => (await made.lines()).includes('begun'))
      channel.cut(running)
      await expect(freezing).rejects.toMatchObject({ code: 'guest-unreachable' })
      await until(() => isQuiet(made), 20_000)
      expect(await made.lines()).toEqual(['begun', 'frozen', 'thawed'])
      expect(await made.thaw({ number: 'all', by: 'watch' })).toMatchObject({ by: 'timer' })
    }
  })

  it('a thaw that cannot run its script is an error, and no success', async () => {
    await using made = await prepare({ scripts: slow })

    expect((await made.freeze({ limitMs: 60_000 })).kind).toBe('held')
    await rm(join(made.place.path, 'b', 'post-thaw'), { recursive: true })
    await expect(made.thaw()).rejects.toMatchObject({ code: 'guest-thaw-failed' })
    await expect(removeWorkspace(made.channel, made.place, cancel)).rejects.toMatchObject({ code: 'guest-thaw-failed' })
  })
})
