// The ladder: the ways to snapshot a VM, most consistent first, down to what the policy requires. Pure.

import type { GradeRecord } from './grade.ts'
import type { GuestState } from './guest.ts'
import { type Grade, gradeSatisfies, type Policy } from './policy.ts'
import type { Quiesce } from './quiesce.ts'
import type { VmState } from './vm.ts'

/** One rung: a way to snapshot and the grade that it gives at best. */
export type Rung = {
  /** Whether pre-freeze holds the guest while the snapshot is made. */
  readonly scripts: boolean
  readonly quiesce: Quiesce
  readonly grade: Grade | 'offline'
  readonly method: GradeRecord['method']
}

export type Ladder = {
  /** To be tried in this order; none: the requirement cannot be met. */
  readonly rungs: readonly Rung[]
  /** Why better ones are left out. */
  readonly fallbacks: readonly string[]
}

type Climber = {
  readonly vm: Pick<VmState, 'powerState' | 'guest'>
  readonly policy: Pick<Policy, 'consistency' | 'guest' | 'scripts'>
  /** What prepare laid into the guest. */
  readonly guest: GuestState | null
}

export function ladderFor({ vm, policy, guest }: Climber): Ladder {
  if (vm.powerState === 'poweredOff') return { rungs: [{ ...PLAIN, grade: 'offline' }], fallbacks: [] }
  const { rungs: base, fallbacks } = withoutScripts(vm, policy.consistency)
  const scripted =
    hasFreezeScript(guest) && vm.powerState === 'poweredOn' ? base.map((rung) => withScripts(rung, vm)) : []
  // Guest processing that is required is never left out.
  const required = policy.guest.mode === 'require' && wantsFreeze(vm, policy)
  const rungs = required ? scripted : [...scripted, ...base]
  const reasons = [...fallbacks, ...whyNoScripts({ vm, policy, guest })]
  return { rungs: rungs.filter(({ grade }) => gradeSatisfies(grade, policy.consistency.require)), fallbacks: reasons }
}

export function hasFreezeScript(guest: GuestState | null): boolean {
  return guest?.workspace?.scripts.includes('pre-freeze') ?? false
}

/** Whether the policy has a pre-freeze script for this guest; where its family is not known, for any. */
function wantsFreeze({ guest }: Climber['vm'], { guest: { mode }, scripts }: Climber['policy']): boolean {
  if (mode === 'off') return false
  const { family } = guest
  const sets = family === 'linux' || family === 'windows' ? [scripts[family]] : [scripts.linux, scripts.windows]
  return sets.some(({ preFreeze }) => preFreeze !== undefined)
}

const PLAIN: Rung = { scripts: false, quiesce: { kind: 'none' }, grade: 'crash', method: 'none' }
const TOOLS: Rung = { scripts: false, quiesce: { kind: 'tools' }, grade: 'filesystem', method: 'tools' }

/** What VMware Tools give by themselves. */
function withoutScripts(vm: Climber['vm'], { want, vss }: Policy['consistency']): Ladder {
  if (want === 'crash') return { rungs: [PLAIN], fallbacks: [] }
  if (vm.powerState === 'suspended')
    return { rungs: [PLAIN], fallbacks: ['The VM is suspended: its guest cannot be quiesced'] }
  if (!vm.guest.toolsRunning)
    return { rungs: [PLAIN], fallbacks: ['VMware Tools does not run in the guest: it cannot be quiesced'] }
  if (want === 'filesystem' || vm.guest.family !== 'windows') return { rungs: [TOOLS, PLAIN], fallbacks: [] }
  const { backupType, timeoutMinutes } = vss
  // ctx_backup refuses to fall back to file systems alone; Tools do so silently otherwise.
  const quiesce: Quiesce = { kind: 'windows', context: 'ctx_backup', backupType, timeoutMinutes }
  return {
    rungs: [{ scripts: false, quiesce, grade: 'application', method: 'windows-vss' }, TOOLS, PLAIN],
    fallbacks: [],
  }
}

/** On Windows only VSS tells applications to be consistent; elsewhere the scripts do, whatever Tools add to it. */
function withScripts(rung: Rung, { guest }: Climber['vm']): Rung {
  if (guest.family === 'windows') return { ...rung, scripts: true }
  return { ...rung, scripts: true, grade: 'application', method: 'scripts' }
}

function whyNoScripts({ vm, policy, guest }: Climber): readonly string[] {
  if (hasFreezeScript(guest) && vm.powerState === 'poweredOn') return []
  if (guest !== null && guest.fallback !== null) return [guest.fallback]
  if (wantsFreeze(vm, policy)) {
    return vm.powerState === 'poweredOn'
      ? ['The guest was not prepared: the VM was not running then, and is now']
      : [`Scripts cannot run in the guest: the VM is ${vm.powerState === 'suspended' ? 'suspended' : 'off'}`]
  }
  if (policy.consistency.want !== 'application' || vm.guest.family === 'windows' || vm.powerState !== 'poweredOn')
    return []
  return [
    policy.guest.mode === 'off'
      ? 'Grade "application" needs a pre-freeze script in this guest, and the policy has guest processing off'
      : 'Grade "application" needs a pre-freeze script in this guest, and the policy names none for it',
  ]
}
