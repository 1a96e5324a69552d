// The hold on an attempt: one mover, renewed, lost when it must be.

import { describe, expect, it } from 'vitest'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog } from '../../lib/adapters/memory/log.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { parseJobId, sessionIdOf } from '../../lib/model/ids.ts'
import { NO_USAGE } from '../../lib/model/usage.ts'
import { HOLD_TIMES, openHold } from '../../lib/mover/hold.ts'

const jobId = parseJobId('0123456789abcdef0123456789abcdef')
const session = sessionIdOf(jobId, 1)
const cancel = { signal: new AbortController().signal }
const request = (holder: string) => ({ jobId, attempt: 1, holder, times: HOLD_TIMES })
const sealed = { kind: 'failed', code: 'x', message: 'X', hint: null, retry: 'no' } as const

/** Lets everything that is ready run. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

async function passSeconds(clock: ReturnType<typeof manualClock>, seconds: number) {
  for (let second = 0; second < seconds; second++) {
    clock.advance(1_000)
    await settle()
  }
}

function world() {
  const state = { fail: null as Error | null }
  const inner = memoryJobStore()
  const failing = <Args extends readonly unknown[], Answer>(call: (...args: Args) => Promise<Answer>) => {
    return async (...args: Args): Promise<Answer> => {
      if (state.fail !== null) throw state.fail
      return call(...args)
    }
  }
  const { create, get, replace } = inner.attempts
  const jobs = { ...inner, attempts: { create: failing(create), get: failing(get), replace: failing(replace) } }
  return { state, jobs, clock: manualClock(), log: memoryLog(), usage: () => NO_USAGE }
}

describe('openHold()', () => {
  it('renews every 20 s, and once a second at most when there is progress', async () => {
    const { jobs, clock, log, usage } = world()
    await using hold = await openHold(request('a'), { jobs, clock, log, usage }, cancel)

    await passSeconds(clock, 100)
    expect(hold.signal.aborted).toBe(false)
    const quiet = await jobs.attempts.get(session, cancel)
    expect(quiet?.version).toBe(6)
    expect((quiet?.value.heldUntilMs ?? 0) - clock.nowMs()).toBeGreaterThanOrEqual(40_000)
    const progress = [{ key: 2000, label: 'Hard disk 1', totalBytes: 10, doneBytes: 5, transport: 'datastore' }]
    hold.report([])
    hold.report(progress)
    await passSeconds(clock, 1)
    const told = await jobs.attempts.get(session, cancel)
    expect(told?.version).toBe(7)
    expect(told?.value.progress).toEqual(progress)
  })

  it('is refused while another mover renews, and taken over once that one has lapsed', async () => {
    const { jobs, clock, log, usage } = world()
    const first = await openHold(request('a'), { jobs, clock, log, usage }, cancel)
    const refused = openHold(request('b'), { jobs, clock, log, usage }, cancel).catch((error: unknown) => error)
    await passSeconds(clock, 130)
    expect(await refused).toMatchObject({ code: 'attempt-held', retry: 'later' })
    await first[Symbol.asyncDispose]()
    await using second = await openHold(request('b'), { jobs, clock, log, usage }, cancel)
    expect(second.earlierResult).toBeNull()
    expect((await jobs.attempts.get(session, cancel))?.value.holder).toBe('b')
  })

  it('waits for the hold of a dead mover to lapse', async () => {
    const { jobs, clock, log, usage } = world()
    const dead = {
      jobId,
      attempt: 1,
      holder: 'dead',
      heldUntilMs: clock.nowMs() + 30_000,
      progress: [],
      usage: NO_USAGE,
      result: null,
    }
    await jobs.attempts.create(session, dead, cancel)
    const opening = openHold(request('b'), { jobs, clock, log, usage }, cancel)
    await passSeconds(clock, 32)
    await using hold = await opening
    expect(hold.signal.aborted).toBe(false)
  })

  it('is lost when another mover takes the attempt', async () => {
    const { jobs, clock, log, usage } = world()
    await using hold = await openHold(request('a'), { jobs, clock, log, usage }, cancel)
    const found = await jobs.attempts.get(session, cancel)
    if (found === null) throw new Error('held')
    await jobs.attempts.replace(session, { value: { ...found.value, holder: 'b' }, version: found.version }, cancel)
    await passSeconds(clock, 25)
    expect(hold.signal.reason).toMatchObject({ code: 'attempt-lost' })
    await expect(hold.finish(sealed, cancel)).rejects.toMatchObject({ code: 'attempt-lost' })
    expect((await jobs.attempts.get(session, cancel))?.value.result).toBeNull()
  })

  it('is lost when it could not be renewed for its lease, and not before', async () => {
    const { jobs, clock, log, usage, state } = world()
    await using hold = await openHold(request('a'), { jobs, clock, log, usage }, cancel)
    state.fail = new BackupError('The table is away', { code: 'table', retry: 'later' })
    await passSeconds(clock, 58)
    expect(hold.signal.aborted).toBe(false)
    await passSeconds(clock, 3)
    expect(hold.signal.reason).toMatchObject({ code: 'attempt-lost' })
  })

  it('knows its own write again when the answer was lost', async () => {
    const { clock, log, usage } = world()
    let loseAnswer = false
    const inner = memoryJobStore()
    const jobs = {
      ...inner,
      attempts: {
        ...inner.attempts,
        replace: async (...args: Parameters<typeof inner.attempts.replace>) => {
          const answer = await inner.attempts.replace(...args)
          if (loseAnswer) throw new Error('connection reset')
          return answer
        },
      },
    }
    await using hold = await openHold(request('a'), { jobs, clock, log, usage }, cancel)
    loseAnswer = true
    await passSeconds(clock, 21)
    loseAnswer = false
    await hold.finish(sealed, cancel)
    expect((await jobs.attempts.get(session, cancel))?.value.result).toEqual(sealed)
  })

  it('tells an earlier result and gives its hold back when disposed', async () => {
    const { jobs, clock, log, usage } = world()
    {
      await using hold = await openHold(request('a'), { jobs, clock, log, usage }, cancel)
      expect(hold.earlierResult).toBeNull()
    }
    expect((await jobs.attempts.get(session, cancel))?.value.heldUntilMs).toBeLessThanOrEqual(clock.nowMs())
    {
      await using hold = await openHold(request('b'), { jobs, clock, log, usage }, cancel)
      await hold.finish(sealed, cancel)
    }
    await using after = await openHold(request('c'), { jobs, clock, log, usage }, cancel)
    expect(after.earlierResult).toEqual(sealed)
  })
})
