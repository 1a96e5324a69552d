// What one run does, drawn from its seed and number: VMs, policies, backups in a row, and which faults strike how often.

import { KiB } from '../../lib/base/bytes.ts'
import { parsePolicyName } from '../../lib/model/ids.ts'
import { defaultPolicy, type Policy, type TransportName } from '../../lib/model/policy.ts'
import { type Dice, diceOf } from './dice.ts'
import { FAULT_CHANCES, FAULT_KINDS, type FaultKind, UNSEEN_KINDS } from './fault-kinds.ts'

export type VmPlan = {
  readonly name: string
  readonly diskBytes: readonly number[]
  readonly tracking: boolean
  /** Whether another product's snapshot is there from the start. */
  readonly foreign: boolean
  readonly poweredOn: boolean
}

export type RequestPlan = {
  readonly policy: Policy
  readonly door: 'api' | 'schedule'
  /** Null: those that the policy selects, which is all. */
  readonly vms: readonly string[] | null
}

export type FaultPlan = {
  readonly kind: FaultKind
  /** At each call where it may strike. */
  readonly chance: number
  readonly most: number
}

export type Plan = {
  readonly seed: number
  readonly run: number
  readonly vms: readonly VmPlan[]
  /** Backups in a row; the requests of one are made at once. */
  readonly rounds: readonly (readonly RequestPlan[])[]
  readonly faults: readonly FaultPlan[]
  readonly moversMax: number
  /** Messages handed out in one moment. */
  readonly deliveriesMax: number
}

export function planOf({ seed, run }: { readonly seed: number; readonly run: number }): Plan {
  const dice = diceOf(seed, run, 'plan')
  const vms = Array.from({ length: dice.number(1, 4) }, (_, index) => vmOf(dice, index + 1))
  const policies = Array.from({ length: dice.number(1, 2) }, (_, index) => policyOf(dice, index + 1))
  const rounds = Array.from({ length: dice.number(2, 5) }, () =>
    Array.from({ length: dice.hits(0.2) ? 2 : 1 }, (): RequestPlan => {
      const all = dice.hits(0.4)
      const named = dice.some(vms, dice.number(1, vms.length)).map(({ name }) => name)
      return {
        policy: dice.pick(policies),
        door: dice.pick(['api', 'schedule']),
        vms: all ? null : named,
      }
    }),
  )
  // One run in thirty is calm, so that the run itself is known to be sound.
  const kinds = run % 30 === 0 ? [] : dice.some(FAULT_KINDS, dice.number(1, 8))
  const percents = dice.pick([[100], [100], [50], [25, 100]])
  const faults = kinds.map((kind): FaultPlan => {
    const chance = Math.min(1, FAULT_CHANCES[kind] * dice.pick([0.5, 2, 6]))
    return { kind, chance, most: dice.pick([1, 1, 2, 3, 6, 12]) }
  })
  const unseen = kinds.some((kind) => UNSEEN_KINDS.includes(kind))
  const audited = rounds.map((requests) =>
    requests.map((asked) => (unseen ? withAudit(asked, dice.pick(percents)) : asked)),
  )
  return { seed, run, vms, rounds: audited, faults, moversMax: dice.number(1, 4), deliveriesMax: dice.pick([1, 1, 3]) }
}

function withAudit(asked: RequestPlan, auditPercent: number): RequestPlan {
  return { ...asked, policy: { ...asked.policy, changeTracking: { auditPercent } } }
}

function vmOf(dice: Dice, number: number): VmPlan {
  const sizes = [64 * KiB, 128 * KiB, 192 * KiB, 320 * KiB, 512 * KiB, 100_352]
  return {
    name: `vm-${number}`,
    diskBytes: Array.from({ length: dice.pick([1, 1, 2, 3]) }, () => dice.pick(sizes)),
    tracking: dice.hits(0.7),
    foreign: dice.hits(0.15),
    poweredOn: dice.hits(0.9),
  }
}

const TRANSPORTS: readonly (readonly TransportName[])[] = [
  ['datastore'],
  ['nbd'],
  ['nbd', 'datastore'],
  ['datastore', 'nbd'],
]

function policyOf(dice: Dice, number: number): Policy {
  const plain = defaultPolicy()
  return {
    ...plain,
    name: parsePolicyName(`policy-${number}`),
    select: { any: [{ name: '*' }], all: [], none: [] },
    disks: { exclude: dice.hits(0.1) ? ['Hard disk 2'] : [] },
    consistency: { ...plain.consistency, want: dice.pick(['crash', 'filesystem']), require: 'crash' },
    transport: dice.pick(TRANSPORTS),
    attemptsMax: dice.number(1, 3),
    changeTracking: { auditPercent: dice.pick([0, 2, 20, 100]) },
    antiAffinity: { policy: dice.hits(0.25), tagCategories: [] },
  }
}
