// The ladder: which ways to snapshot are tried, for every kind of guest, wish and requirement.

import { describe, expect, it } from 'vitest'
import type { GuestState, ScriptStage } from '../../lib/model/guest.ts'
import { ladderFor } from '../../lib/model/ladder.ts'
import { defaultPolicy, type Grade } from '../../lib/model/policy.ts'
import type { PowerState, VmState } from '../../lib/model/vm.ts'

type Case = {
  readonly family?: VmState['guest']['family']
  readonly powerState?: PowerState
  readonly tools?: boolean
  readonly want: Grade
  readonly require: Grade
  readonly mode?: 'require' | 'try' | 'off'
  readonly scripts?: readonly ScriptStage[]
  readonly fallback?: string
  /** Whether the policy names a pre-freeze script for Linux, whatever lies in the guest. */
  readonly named?: true
}

const bundle = { bundle: 'scripts/a.sh', sha256: '0', entry: 'a.sh', timeoutMs: 1, successCodes: [0], elevated: false }

function guestState({ scripts, fallback, family }: Case): GuestState | null {
  if (scripts === undefined && fallback === undefined) return null
  const place = { channel: 'ssh', address: '192.0.2.1', user: 'a', elevated: false, path: '/run/x' } as const
  const known = family === 'windows' ? 'windows' : 'linux'
  const workspace = scripts === undefined ? null : ({ ...place, family: known, scripts } as const)
  return { attempts: [], workspace, fallback: fallback ?? null, postCommit: 'not-run' }
}

function ladder(one: Case) {
  const base = defaultPolicy()
  const { rungs, fallbacks } = ladderFor({
    vm: {
      powerState: one.powerState ?? 'poweredOn',
      guest: {
        family: one.family ?? 'linux',
        toolsRunning: one.tools ?? true,
        toolsVersion: null,
        toolsVersionStatus: null,
        operationsReady: null,
        hostName: null,
        ipAddresses: [],
        nics: [],
      },
    },
    policy: {
      consistency: { ...base.consistency, want: one.want, require: one.require },
      guest: { ...base.guest, mode: one.mode ?? 'off' },
      scripts: { ...base.scripts, linux: one.named === true ? { preFreeze: bundle } : {} },
    },
    guest: guestState(one),
  })
  const steps = rungs.map((rung) => `${rung.scripts ? 'scripts+' : ''}${rung.quiesce.kind}:${rung.grade}`)
  return { steps: steps.join(' '), fallbacks }
}

const freeze = ['pre-freeze', 'post-thaw'] as const

describe('ladderFor()', () => {
  it.each<readonly [string, Case, string]>([
    ['crash is wanted', { want: 'crash', require: 'crash' }, 'none:crash'],
    ['Tools quiesce, then nothing does', { want: 'filesystem', require: 'crash' }, 'tools:filesystem none:crash'],
    ['nothing below what is required', { want: 'filesystem', require: 'filesystem' }, 'tools:filesystem'],
    [
      'off is as consistent as can be',
      { powerState: 'poweredOff', want: 'application', require: 'application' },
      'none:offline',
    ],
    [
      'a suspended guest answers nobody',
      { powerState: 'suspended', want: 'application', require: 'crash' },
      'none:crash',
    ],
    [
      'a suspended guest answers nobody, also where it must',
      { powerState: 'suspended', want: 'application', require: 'application' },
      '',
    ],
    ['no Tools', { tools: false, want: 'application', require: 'crash' }, 'none:crash'],
    [
      'scripts hold without Tools',
      { tools: false, want: 'application', require: 'application', mode: 'try', scripts: freeze },
      'scripts+none:application',
    ],
    [
      'scripts first, with Tools and without, then Tools alone',
      { want: 'application', require: 'crash', mode: 'try', scripts: freeze },
      'scripts+tools:application scripts+none:application tools:filesystem none:crash',
    ],
    [
      'required guest processing is never left out',
      { want: 'application', require: 'crash', mode: 'require', scripts: freeze, named: true },
      'scripts+tools:application scripts+none:application',
    ],
    [
      'no script, no application grade',
      { want: 'application', require: 'crash', mode: 'try' },
      'tools:filesystem none:crash',
    ],
    ['no script, and it is required', { want: 'application', require: 'application', mode: 'try' }, ''],
    [
      'a post-commit script freezes nothing',
      { want: 'application', require: 'crash', mode: 'try', scripts: ['post-commit'] },
      'tools:filesystem none:crash',
    ],
    [
      'VSS on Windows, without any connection to the guest',
      { family: 'windows', want: 'application', require: 'crash' },
      'windows:application tools:filesystem none:crash',
    ],
    [
      'scripts around VSS on Windows',
      { family: 'windows', want: 'application', require: 'filesystem', mode: 'try', scripts: freeze },
      'scripts+windows:application scripts+tools:filesystem windows:application tools:filesystem',
    ],
    [
      'VSS is not asked where file systems are enough',
      { family: 'windows', want: 'filesystem', require: 'crash' },
      'tools:filesystem none:crash',
    ],
  ])('%s', (_what, one, steps) => {
    expect(ladder(one).steps).toBe(steps)
  })

  it('says why the better rungs are missing', () => {
    const unprepared = ladder({ want: 'application', require: 'crash', mode: 'try', named: true })
    expect(unprepared.fallbacks).toEqual(['The guest was not prepared: the VM was not running then, and is now'])
    const { fallbacks } = ladder({ want: 'application', require: 'crash', mode: 'try', fallback: 'Nobody answered' })
    expect(fallbacks).toEqual(['Nobody answered'])
    expect(ladder({ want: 'application', require: 'crash' }).fallbacks[0]).toContain('guest processing off')
    expect(ladder({ want: 'application', require: 'crash', mode: 'try' }).fallbacks[0]).toContain('names none')
    expect(ladder({ want: 'application', require: 'crash', tools: false, family: 'windows' }).fallbacks).toEqual([
      'VMware Tools does not run in the guest: it cannot be quiesced',
    ])
  })
})
