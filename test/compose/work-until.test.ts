import { describe, expect, it } from 'vitest'
import { systemClock } from '../../lib/base/clock.ts'
import { defaultEngineLimits } from '../../lib/compose/engine.ts'
import type { LocalEngine } from '../../lib/compose/local.ts'
import { type WorkOptions, workUntil } from '../../lib/compose/work-until.ts'
import { newWorld } from '../stages/world.ts'

type Told = { opened: number; disposed: number; drained: number; ending: boolean; movers: number; holders: number }

async function fakeEngine(told: Told): Promise<LocalEngine> {
  const world = await newWorld()
  const process = { name: 'engine', stop: new AbortController(), dead: false, onDeath: () => undefined }
  return {
    parts: {
      deps: { ...world.depsOf(process), clock: systemClock },
      queue: world.queue,
      engineId: 'engine-1',
      runningMax: 1,
      limits: { ...defaultEngineLimits, idleMs: 1 },
      isEnding: () => told.ending,
    },
    tasks: { ...world.tasks, running: () => told.movers, [Symbol.asyncDispose]: async () => undefined },
    endSoon: () => {
      told.ending = true
    },
    snapshotHolders: async () => told.holders,
    async [Symbol.asyncDispose]() {
      told.disposed++
    },
  }
}

function newTold(): Told {
  return { opened: 0, disposed: 0, drained: 0, ending: false, movers: 0, holders: 0 }
}

function work(told: Told, change: Partial<WorkOptions>): WorkOptions {
  return {
    openEngine: async () => {
      told.opened++
      return await fakeEngine(told)
    },
    look: async () => true,
    onDrain: () => {
      told.drained++
    },
    clock: systemClock,
    lookMs: 1,
    ...change,
  }
}

const signal = new AbortController().signal

describe("a command's part in the work", () => {
  it('is to wait while another process is the engine, and to go on in its place when that ends', async () => {
    const told = newTold()
    const roles: string[] = []
    let tries = 0
    const options = work(told, {
      openEngine: async () => (++tries <= 3 ? null : await fakeEngine(told)),
      look: async (role) => {
        roles.push(role)
        return roles.length > 5
      },
    })
    await workUntil(options, { signal })

    expect(roles).toEqual(['waiting', 'waiting', 'waiting', 'engine', 'engine', 'engine'])
    expect(told.disposed).toBe(1)
  })

  it('ends at once when another engine has done what was asked for', async () => {
    const told = newTold()
    await workUntil(work(told, { openEngine: async () => null }), { signal })

    expect(told).toMatchObject({ opened: 0, disposed: 0 })
  })

  it('begins nothing more when its own work is done, and waits for movers and snapshots of others', async () => {
    const told = { ...newTold(), movers: 2, holders: 1 }
    const options = work(told, {
      onDrain: () => {
        told.drained++
        setTimeout(() => Object.assign(told, { movers: 0 }), 10)
        setTimeout(() => Object.assign(told, { holders: 0 }), 20)
      },
    })
    await workUntil(options, { signal })

    expect(told).toMatchObject({ ending: true, drained: 1, movers: 0, holders: 0, disposed: 1 })
  })

  it('is over when it is told to stop, with the reason, and the engine is given back', async () => {
    const told = newTold()
    const stop = new AbortController()
    const options = work(told, {
      look: async () => {
        stop.abort(new Error('Ctrl-C'))
        return false
      },
    })

    await expect(workUntil(options, { signal: stop.signal })).rejects.toThrow('Ctrl-C')
    expect(told.disposed).toBe(1)
  })

  it('fails with what ended the engine', async () => {
    const told = newTold()
    const options = work(told, {
      openEngine: async () => {
        const engine = await fakeEngine(told)
        const receive = () => Promise.reject(new Error('state is damaged'))
        return { ...engine, parts: { ...engine.parts, queue: { ...engine.parts.queue, receive } } }
      },
      look: async () => false,
    })

    await expect(workUntil(options, { signal })).rejects.toThrow('state is damaged')
    expect(told.disposed).toBe(1)
  })
})
