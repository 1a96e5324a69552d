// Applies policies: keeps their records and has the scheduler know what they say. Done again, it changes nothing; killed half-way, the next
// call ends what it began.

import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Clock, isoTime } from '../base/clock.ts'
import { BackupError, quote } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { PolicyName } from '../model/ids.ts'
import type { Policy } from '../model/policy.ts'
import { POLICY_TEXT_BYTES_MAX, type StoredPolicy } from '../model/stored-policy.ts'
import type { JobStore, Versioned } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'
import type { ObjectStore } from '../ports/object-store.ts'
import type { Schedules } from '../ports/schedules.ts'
import { scheduleFor } from './policy-schedule.ts'
import { findScriptFaults, type ScriptFault } from './policy-scripts.ts'

export type WantedPolicy = {
  /** What `text` says. */
  readonly policy: Policy
  /** The YAML as it was given. */
  readonly text: string
  /** The SHA-256 of the text that it replaces, null for none; left out: whatever there is. */
  readonly replaces?: string | null
}

export type AppliedPolicy = {
  readonly name: PolicyName
  readonly record: 'created' | 'changed' | 'same' | 'removed'
  /** 'none': it has no schedule, and had none. */
  readonly schedule: 'created' | 'changed' | 'same' | 'removed' | 'none'
}

export type ApplyDeps = {
  readonly clock: Clock
  readonly jobStore: Pick<JobStore, 'policies' | 'listPolicies'>
  readonly schedules: Schedules
  /** Where script bundles are kept: the repository's store. */
  readonly scripts: ObjectStore
  readonly log: Log
}

export type ApplyRequest = {
  readonly policies: readonly WantedPolicy[]
  /** Whether policies that are stored and not among these are removed. */
  readonly prune: boolean
  /** Who does it, in the words of the door. */
  readonly by: string
}

/**
 * Checks everything first, then for each policy writes the record and after it the schedule; removals come last. So no schedule names a
 * policy that does not exist, and a removed policy starts nothing although its schedule may still stand. The record is written by its
 * version; the schedule is put once more when the record changed meanwhile, so that of two at once the scheduler ends with what the table says.
 * @returns one entry a policy, in the order given, then those that were removed
 * @throws BackupError `policy-twice`, `policy-large` (usage), `script-missing`, `script-changed`, `policy-contended` (refused)
 */
export async function applyPolicies(
  request: ApplyRequest,
  deps: ApplyDeps,
  cancel: Cancel,
): Promise<readonly AppliedPolicy[]> {
  const policies = request.policies.map(({ policy }) => policy)
  refuseFaults(request.policies, await findScriptFaults(policies, deps.scripts, cancel))
  const applied: AppliedPolicy[] = []
  for (const wanted of request.policies) applied.push(await applyOne(wanted, request.by, { deps, cancel }))
  if (!request.prune) return applied
  const kept = new Set(request.policies.map(({ policy }) => policy.name))
  const stored = await deps.jobStore.listPolicies(cancel)
  const pruned = stored.filter(({ name, state }) => state === 'active' && !kept.has(name)).map(({ name }) => name)
  return [...applied, ...(await removePolicies({ names: pruned, by: request.by }, deps, cancel))]
}

/**
 * Removed policies start nothing more; their names, jobs and points stay known. One that is removed already has its schedule removed once more.
 * @throws BackupError `policy-not-found`, `policy-contended`
 */
export async function removePolicies(
  request: { readonly names: readonly PolicyName[]; readonly by: string },
  deps: Pick<ApplyDeps, 'clock' | 'jobStore' | 'schedules' | 'log'>,
  cancel: Cancel,
): Promise<readonly AppliedPolicy[]> {
  const removed: AppliedPolicy[] = []
  for (const name of request.names) {
    const found = await deps.jobStore.policies.get(name, cancel)
    if (found === null) throw unknownPolicy(name)
    const { value } = found
    if (value.state === 'active') {
      const next = {
        ...value,
        state: 'removed' as const,
        appliedAt: isoTime(deps.clock.nowMs()),
        appliedBy: request.by,
      }
      await writeRecord({ found, next }, { deps, cancel })
      deps.log.info('policy.removed', { policy: name, by: request.by })
    }
    const schedule = await settleSchedule(name, { deps, cancel })
    removed.push({ name, record: value.state === 'active' ? 'removed' : 'same', schedule })
  }
  return removed
}

export function unknownPolicy(name: string): BackupError {
  return new BackupError(`Cannot find policy ${quote(name)}`, {
    code: 'policy-not-found',
    kind: 'not-found',
    hint: '"coldframe policy list" names those that were applied',
    facts: { policy: name },
  })
}

/** The SHA-256 of a policy's text, as a stored policy has it. */
export function policyDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/**
 * What can be told before anything is written.
 * @param faults of the scripts that the policies pin
 * @throws BackupError `policy-twice`, `policy-large` (usage), `script-missing`, `script-changed` (refused)
 */
export function refuseFaults(policies: readonly WantedPolicy[], faults: readonly ScriptFault[]): void {
  const names = policies.map(({ policy }) => policy.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    const hint = 'A name is one policy: rename one of them, or leave it out'
    throw new BackupError(`Policy "${twice}" is given twice`, { code: 'policy-twice', kind: 'usage', hint })
  }
  for (const { policy, text } of policies) {
    const bytes = Buffer.byteLength(text)
    if (bytes <= POLICY_TEXT_BYTES_MAX) continue
    throw new BackupError(
      `Cannot apply policy "${policy.name}": its text has ${bytes} bytes, at most ${POLICY_TEXT_BYTES_MAX} are kept`,
      { code: 'policy-large', kind: 'usage', hint: 'Select by tags or folders instead of naming each VM' },
    )
  }
  const [first] = faults
  if (first === undefined) return
  throw new BackupError('Cannot apply policies: scripts that they pin are not what is stored', {
    code: first.code,
    kind: 'refused',
    hint: 'Store each with "coldframe script FILE --as KEY", and let the policy pin the digest that it prints; nothing was changed',
    facts: { faults: faults.map(({ message }) => message) },
  })
}

type Call = { readonly deps: Pick<ApplyDeps, 'clock' | 'jobStore' | 'schedules' | 'log'>; readonly cancel: Cancel }

async function applyOne(wanted: WantedPolicy, by: string, { deps, cancel }: Call): Promise<AppliedPolicy> {
  const { policy, text } = wanted
  const { name } = policy
  const found = await deps.jobStore.policies.get(name, cancel)
  const sha256 = policyDigest(text)
  const isSame = found !== null && saysTheSame(found.value, { policy, sha256 })
  if (!isSame) {
    const current = found?.value.state === 'active' ? found.value.sha256 : null
    if (wanted.replaces !== undefined && wanted.replaces !== current) throw contended(name)
    const appliedAt = isoTime(deps.clock.nowMs())
    const next: StoredPolicy = { name, policy, text, sha256, appliedAt, appliedBy: by, state: 'active' }
    await writeRecord({ found, next }, { deps, cancel })
    deps.log.info('policy.applied', { policy: name, by, sha256 })
  }
  const schedule = await settleSchedule(name, { deps, cancel })
  const record = isSame ? 'same' : found === null || found.value.state === 'removed' ? 'created' : 'changed'
  return { name, record, schedule }
}

/** Another release may read the same text as more than it was. */
function saysTheSame(stored: StoredPolicy, { policy, sha256 }: Pick<StoredPolicy, 'policy' | 'sha256'>): boolean {
  return stored.state === 'active' && stored.sha256 === sha256 && isDeepStrictEqual(stored.policy, policy)
}

/** A write whose answer was lost, or that somebody else did for the same text, has been done. */
async function writeRecord(
  { found, next }: { readonly found: Versioned<StoredPolicy> | null; readonly next: StoredPolicy },
  { deps, cancel }: Call,
): Promise<void> {
  const { policies } = deps.jobStore
  const answer =
    found === null
      ? await policies.create(next.name, next, cancel)
      : await policies.replace(next.name, { value: next, version: found.version }, cancel)
  if (answer === 'created' || answer === 'replaced') return
  const other = (await policies.get(next.name, cancel))?.value
  if (other?.state === next.state && other.sha256 === next.sha256) return
  throw contended(next.name)
}

function contended(name: PolicyName): BackupError {
  return new BackupError(`Cannot write policy "${name}": somebody else has changed it meanwhile`, {
    code: 'policy-contended',
    kind: 'refused',
    hint: 'Look at it again with "coldframe policy plan", then apply it again; what was applied before it stays',
    facts: { policy: name },
  })
}

/** Two applies at once follow each other within these. */
const SETTLES_MAX = 10

/** Has the scheduler know what the record says, and looks once more whether the record still says it. */
async function settleSchedule(name: PolicyName, { deps, cancel }: Call): Promise<AppliedPolicy['schedule']> {
  let answer: AppliedPolicy['schedule'] = 'none'
  for (let turn = 1; turn <= SETTLES_MAX; turn++) {
    const before = await deps.jobStore.policies.get(name, cancel)
    const schedule = before?.value.state === 'active' ? scheduleFor(before.value.policy) : null
    if (schedule === null) {
      const removed = await deps.schedules.remove(name, cancel)
      if (turn === 1 || removed !== 'none') answer = removed
    } else {
      const put = await deps.schedules.put(schedule, cancel)
      if (turn === 1 || put !== 'same') answer = put
    }
    const after = await deps.jobStore.policies.get(name, cancel)
    if (after?.version === before?.version) return answer
  }
  throw contended(name)
}
