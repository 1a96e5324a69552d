// Faults on request: by the nth call, by chance from a seed, and files that are refused with all their faults.

import { describe, expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import { calm, parseScenario, Scenario } from '../../sim/scenario.ts'

const delay = { kind: 'delay', delayMs: 5 } as const

describe('a scenario', () => {
  it('strikes at the nth call of a method, once', () => {
    const scenario = open({ faults: [{ call: 'A', nth: 2, mishap: delay }] })
    expect(['A', 'B', 'A', 'A'].map((call) => scenario.faultBefore(call))).toEqual([null, null, delay, null])
    expect(scenario.calls()).toEqual({ A: 3, B: 1 })
  })

  it('strikes as often as told, and at any call for "*"', () => {
    const scenario = open({ faults: [{ call: '*', nth: 2, times: 2, mishap: delay }] })
    expect(['A', 'B', 'C', 'D'].map((call) => scenario.faultBefore(call) !== null)).toEqual([false, true, true, false])
  })

  it('strikes by chance the same way for the same seed', () => {
    const strikes = [1, 1, 2].map((seed) => {
      const scenario = open({ seed, faults: [{ call: '/folder', chance: 0.3, mishap: { kind: 'drop-connection' } }] })
      return Array.from({ length: 200 }, () => (scenario.faultBefore('/folder') === null ? '.' : 'x')).join('')
    })
    expect(strikes[0]).toBe(strikes[1])
    expect(strikes[0]).not.toBe(strikes[2])
    const count = strikes[0]?.replaceAll('.', '').length ?? 0
    expect(count).toBeGreaterThan(30)
    expect(count).toBeLessThan(90)
  })

  it('counts an armed rule from the moment it is armed', () => {
    const scenario = new Scenario(calm)
    scenario.faultBefore('A')
    scenario.arm({ call: 'A', when: { kind: 'nth', nth: 1 }, times: 1, mishap: delay })
    expect(scenario.faultBefore('A')).toEqual(delay)
    scenario.arm({ call: 'A', when: { kind: 'nth', nth: 1 }, times: 1, mishap: delay })
    scenario.disarm()
    expect(scenario.faultBefore('A')).toBeNull()
  })

  it('does something to a machine at the nth call, beside what else strikes, and tells what it could not do', () => {
    const done: unknown[] = []
    const action = { kind: 'action', vm: 'db-01', action: 'relocate', body: { datastore: 'ds2' } }
    const faults = [
      { call: '/folder', nth: 2, mishap: action },
      { call: '/folder', nth: 1, times: 9, mishap: delay },
      { call: '/folder', nth: 3, mishap: { kind: 'action', vm: 'db-01', action: 'remove-all-snapshots' } },
    ]
    const scenario = new Scenario(parseScenario(JSON.stringify({ faults }), { name: 's.json' }), (wish) => {
      done.push([wish.action, wish.body])
      if (wish.action !== 'relocate') throw new Error('it is gone')
    })
    expect([1, 2, 3].map(() => scenario.faultBefore('/folder'))).toEqual([delay, delay, delay])
    expect(done).toEqual([
      ['relocate', { datastore: 'ds2' }],
      ['remove-all-snapshots', {}],
    ])
    expect(scenario.failures()).toEqual(['remove-all-snapshots of "db-01": it is gone'])
  })

  it('reads every kind of mishap as it is written', () => {
    const mishaps = [
      { kind: 'fault', fault: 'InvalidArgument', message: 'no', properties: { invalidProperty: 'startOffset' } },
      { kind: 'task-timeout', workMs: 5 },
      { kind: 'task-vanish', workMs: 0 },
      { kind: 'task-hang', work: false, ms: null },
      { kind: 'task-hang', work: true, ms: 5 },
      { kind: 'task-slow', durationMs: 9 },
      { kind: 'areas', lie: 'overlap' },
      { kind: 'other-bytes' },
    ]
    const text = JSON.stringify({ faults: mishaps.map((mishap) => ({ call: 'A', nth: 1, mishap })) })
    expect(parseScenario(text, { name: 's.json' }).faults.map(({ mishap }) => mishap)).toEqual(mishaps)
  })

  it('is refused with all faults of its file', () => {
    const rules = [
      { call: 'A', nth: 0, mishap: delay },
      { nth: 1, chance: 0.5, mishap: { kind: 'fault' } },
      { call: 'A', chance: 2, mishap: { kind: 'bang' }, when: 1 },
      { call: 'A', nth: 1 },
      { call: 'A', nth: 1, mishap: { kind: 'areas', lie: 'small' } },
      { call: 'A', nth: 1, mishap: { kind: 'fault', fault: 'F', properties: { a: [] } } },
      { call: 'A', nth: 1, mishap: { kind: 'action', action: 'relocate', body: { datastore: 1 } } },
      { call: 'A', nth: 1, mishap: { kind: 'action', vm: 'a', action: 'explode' } },
    ]
    try {
      open({ faults: rules })
      expect.unreachable()
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      for (const part of [
        '[0].nth',
        '[1].call',
        '[1].nth',
        '[1].mishap.fault',
        '[2].chance',
        '[2].mishap.kind',
        '[2].when',
        '[3].mishap',
        '[4].mishap.lie',
        '[5].mishap.properties',
        '[6].mishap.vm',
        '[6].mishap.body.datastore',
        '[7].mishap.action',
      ]) {
        expect(error.message).toContain(`faults${part}`)
      }
    }
    expect(() => parseScenario('{', { name: 's.json' })).toThrow(/Cannot read the scenario "s.json"/)
  })
})

function open(document: { readonly seed?: number; readonly faults: readonly unknown[] }): Scenario {
  return new Scenario(parseScenario(JSON.stringify(document), { name: 's.json' }))
}
