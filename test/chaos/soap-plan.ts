// What one run over SOAP does, drawn from its seed and number: backups in a row, and what goes wrong in each. The plan is the same each
// time; which call comes first when several are on their way is not.

import { AREAS_LIES } from '../../sim/machine/types.ts'
import type { Mishap } from '../../sim/read-mishap.ts'
import type { FaultRule } from '../../sim/scenario.ts'
import { VM } from '../lies/world.ts'
import { type Dice, diceOf } from './dice.ts'

export type SoapPlan = {
  readonly seed: number
  readonly run: number
  readonly backups: readonly { readonly writtenBytes: number; readonly rules: readonly FaultRule[] }[]
}

export const FOREIGN = 'before the update'

const ANY_READ = '/folder range'
const TASKS = ['CreateSnapshot_Task', 'CreateSnapshot_Task', 'RemoveSnapshot_Task', 'ReconfigVM_Task'] as const
const METHODS = [...TASKS, 'RetrievePropertiesEx', 'QueryChangedDiskAreas', 'Login'] as const
const FAULTS = ['GenericVmConfigFault', 'TaskInProgress', 'FileLocked', 'HostCommunication'] as const

type Wrong = { readonly call: string; readonly mishap: Mishap }

const WRONGS: readonly ((dice: Dice) => Wrong)[] = [
  (dice) => ({ call: dice.pick(METHODS), mishap: fault('fault', dice) }),
  (dice) => ({ call: dice.pick(TASKS), mishap: fault('task-fault', dice) }),
  (dice) => ({ call: dice.pick(TASKS), mishap: fault('task-fault-after', dice) }),
  (dice) => ({ call: dice.pick(TASKS), mishap: { kind: 'task-timeout', workMs: dice.number(0, 150) } }),
  (dice) => ({ call: dice.pick(TASKS), mishap: { kind: 'task-vanish', workMs: dice.number(0, 150) } }),
  (dice) => ({
    call: dice.pick(TASKS),
    mishap: { kind: 'task-hang', work: dice.hits(0.5), ms: dice.number(50, 300) },
  }),
  (dice) => ({ call: dice.pick(TASKS), mishap: { kind: 'task-idle' } }),
  (dice) => ({ call: dice.pick(TASKS), mishap: { kind: 'task-slow', durationMs: dice.number(20, 200) } }),
  (dice) => ({ call: dice.pick(METHODS), mishap: { kind: 'drop-reply' } }),
  (dice) => ({ call: dice.pick(['*', ANY_READ]), mishap: { kind: 'drop-connection' } }),
  (dice) => ({ call: dice.pick(['*', ANY_READ]), mishap: { kind: 'expire-session' } }),
  (dice) => ({ call: '*', mishap: { kind: 'delay', delayMs: dice.number(1, 60) } }),
  (dice) => ({ call: ANY_READ, mishap: { kind: 'http-status', status: dice.pick([401, 404, 500, 503]) } }),
  () => ({ call: ANY_READ, mishap: { kind: 'short-body' } }),
  () => ({ call: ANY_READ, mishap: { kind: 'wrong-range' } }),
  // 'leave-out' only an audit can find: the lie table has it.
  (dice) => ({
    call: 'QueryChangedDiskAreas',
    mishap: { kind: 'areas', lie: dice.pick(AREAS_LIES.filter((lie) => lie !== 'leave-out')) },
  }),
  ...[
    { action: 'write', body: { bytes: 200_000 } },
    { action: 'task', body: { name: 'RelocateVM_Task', ms: 150 } },
    { action: 'snapshot', body: { name: FOREIGN } },
    { action: 'relocate', body: { datastore: 'ds2' } },
    { action: 'power-loss', body: {} },
    { action: 'hold-consolidation', body: { ms: 150 } },
    { action: 'list-late', body: { ms: 150 } },
    { action: 'quiesce-faults', body: { faults: ['FilesystemQuiesceFault'] } },
  ].map(
    (act) =>
      (dice: Dice): Wrong => ({
        call: dice.pick([...METHODS, ANY_READ]),
        mishap: { kind: 'action', vm: VM, ...act } as Mishap,
      }),
  ),
]

export function soapPlanOf({ seed, run }: { readonly seed: number; readonly run: number }): SoapPlan {
  const dice = diceOf(seed, run, 'soap')
  const backups = Array.from({ length: dice.number(2, 3) }, () => ({
    writtenBytes: dice.number(0, 400_000),
    rules: dice.some(WRONGS, dice.number(1, 5)).map((wrong) => ruleOf(wrong(dice), dice)),
  }))
  return { seed, run, backups }
}

/** By the nth call or by chance; what is done to a machine is done once. */
function ruleOf({ call, mishap }: Wrong, dice: Dice): FaultRule {
  const often = call === '*' || call === ANY_READ || call === 'RetrievePropertiesEx'
  const byChance = mishap.kind !== 'action' && dice.hits(0.5)
  return {
    ...{ call, mishap },
    when: byChance
      ? { kind: 'chance', chance: often ? 0.08 : 0.6 }
      : { kind: 'nth', nth: often ? dice.number(1, 40) : dice.number(1, 2) },
    times: mishap.kind === 'action' ? 1 : dice.number(1, 4),
  }
}

function fault(kind: 'fault' | 'task-fault' | 'task-fault-after', dice: Dice): Mishap {
  return { kind, fault: dice.pick(FAULTS), message: 'An error occurred' }
}
