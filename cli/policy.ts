// coldframe policy …: check files, see what applying them would change, apply, list, show, remove.

import { userInfo } from 'node:os'
import { BackupError } from '../lib/base/errors.ts'
import { isPolicyName } from '../lib/model/ids.ts'
import type { StoredPolicy } from '../lib/model/stored-policy.ts'
import {
  type AppliedPolicy,
  applyPolicies,
  refuseFaults,
  removePolicies,
  unknownPolicy,
  type WantedPolicy,
} from '../lib/operate/policy-apply.ts'
import { lookForPlan } from '../lib/operate/policy-look.ts'
import { type PolicyPlan, planPolicies } from '../lib/operate/policy-plan.ts'
import { describePlan, describeSchedule } from '../lib/operate/policy-words.ts'
import { policySchema } from '../lib/wire/policy-schema.ts'
import type { Answer } from './answer.ts'
import { askYesOrNo } from './ask.ts'
import { engineOf } from './open-engine.ts'
import { readPolicies } from './policy-files.ts'
import { openPolicyPlace, openPolicyRecords, type PolicyPlace } from './policy-place.ts'
import { printable, shortTime, table } from './terminal.ts'
import type { World } from './world.ts'

export type ApplyOptions = { readonly files: readonly string[]; readonly prune: boolean; readonly yes: boolean }

export function schema(): Answer {
  const document = policySchema()
  return { data: document, text: `${JSON.stringify(document, null, 2)}\n`, fault: null }
}

export async function check(files: readonly string[]): Promise<Answer> {
  const policies = await readPolicies(files)
  const read = policies.map(({ policy }) => ({ name: policy.name, schedule: describeSchedule(policy.schedule) }))
  const text = read.map(({ name, schedule }) => `${name}: no fault; schedule: ${schedule}\n`).join('')
  return { data: { policies: read }, text, fault: null }
}

export async function plan(options: Omit<ApplyOptions, 'yes'>, world: World): Promise<Answer> {
  const wanted = await readPolicies(options.files)
  using place = await openPolicyPlace(world)

  const { planned } = await planIn(place, { wanted, prune: options.prune }, world)
  return { data: planned, text: linesOf(describePlan(planned)), fault: scriptFault(planned) }
}

/** Prints the plan, asks or is told, then applies. */
export async function apply(options: ApplyOptions, world: World): Promise<Answer> {
  const wanted = await readPolicies(options.files)
  using place = await openPolicyPlace(world)

  const { planned, stored } = await planIn(place, { wanted, prune: options.prune }, world)
  world.progress.write(linesOf(describePlan(planned)))
  refuseFaults(wanted, planned.scripts)
  if (planned.isChanging && !options.yes) await agree(planned, world)
  const request = { policies: asSeen(wanted, stored), prune: options.prune, by: whoAmI() }
  const applied = await applyPolicies(request, place.deps, world)
  return { data: { plan: planned, applied }, text: linesOf(applied.map(appliedWords)), fault: null }
}

type Planned = { readonly planned: PolicyPlan; readonly stored: readonly StoredPolicy[] }

async function planIn(
  { deps, repository }: PolicyPlace,
  { wanted, prune }: { readonly wanted: readonly WantedPolicy[]; readonly prune: boolean },
  world: World,
): Promise<Planned> {
  const policies = wanted.map(({ policy }) => policy)
  const seen = await lookForPlan({ policies, repository }, deps, world)
  return { planned: planPolicies({ policies, prune }, seen), stored: seen.stored }
}

export async function list(world: World): Promise<Answer> {
  const stored = await engineOf(world).policies()
  const active = stored.filter(({ state }) => state === 'active')
  const columns = ['POLICY', 'SCHEDULE', 'APPLIED (UTC)', 'BY', 'SHA-256'].map((title) => ({
    title,
    align: 'left' as const,
  }))
  const rows = active.map((each) => [
    each.name,
    describeSchedule(each.schedule),
    shortTime(each.appliedAt),
    each.appliedBy,
    each.sha256.slice(0, 12),
  ])
  const data = { policies: stored }
  return { data, text: active.length === 0 ? 'No policies yet\n' : table(columns, rows), fault: null }
}

export async function show(name: string, world: World): Promise<Answer> {
  const stored = await engineOf(world).policy(name)
  const { state, text, appliedAt, appliedBy } = stored
  const removed = state === 'removed' ? `# removed at ${appliedAt} by ${appliedBy}\n` : ''
  return { data: stored, text: `${removed}${text.endsWith('\n') ? text : `${text}\n`}`, fault: null }
}

export async function remove(options: { readonly name: string; readonly yes: boolean }, world: World): Promise<Answer> {
  const { name } = options
  if (!isPolicyName(name)) throw unknownPolicy(name)
  using place = await openPolicyRecords(world)

  const { deps } = place
  const found = await deps.jobStore.policies.get(name, world)
  if (found === null) throw unknownPolicy(name)
  if (found.value.state === 'active' && !options.yes) {
    const what = `Remove policy "${name}"? Nothing starts it any more; its restore points stay`
    await agreed(what, `VMs that only policy "${name}" selects are not backed up any more`, world)
  }
  const applied = await removePolicies({ names: [name], by: whoAmI() }, deps, world)
  return { data: { applied }, text: linesOf(applied.map(appliedWords)), fault: null }
}

/** So that nothing is replaced but what the plan was made against. */
function asSeen(wanted: readonly WantedPolicy[], stored: readonly StoredPolicy[]): readonly WantedPolicy[] {
  return wanted.map((each) => {
    const before = stored.find(({ name, state }) => name === each.policy.name && state === 'active')
    return { ...each, replaces: before?.sha256 ?? null }
  })
}

async function agree({ losing }: PolicyPlan, world: World): Promise<void> {
  const count = losing.length === 1 ? '1 VM' : `${losing.length} VMs`
  const cost = losing.length === 0 ? 'policies would change' : `${count} would be in no policy any more`
  await agreed(losing.length === 0 ? 'Apply this?' : `Apply this, although ${cost}?`, cost, world)
}

/** @throws BackupError `confirmation-needed`, `not-confirmed` (refused) */
async function agreed(question: string, cost: string, world: World): Promise<void> {
  const answer = await askYesOrNo(question, world)
  if (answer === true) return
  if (answer === false) throw refused('not-confirmed', 'Nothing was changed: the question was not answered with yes')
  throw refused('confirmation-needed', `Nothing was changed: ${cost}, and nobody is at a terminal to be asked`)
}

function refused(code: string, message: string): BackupError {
  return new BackupError(message, { code, kind: 'refused', hint: 'Add --yes to go on without being asked' })
}

function scriptFault({ scripts }: PolicyPlan): BackupError | null {
  const [first] = scripts
  if (first === undefined) return null
  return new BackupError(
    `${scripts.length === 1 ? 'A script' : `${scripts.length} scripts`} that policies pin would be refused`,
    {
      code: first.code,
      kind: 'refused',
      hint: 'Store each with "coldframe script FILE --as KEY", and let the policy pin the digest that it prints',
      facts: { faults: scripts.map(({ message }) => message) },
    },
  )
}

function appliedWords({ name, record, schedule }: AppliedPolicy): string {
  const words = { created: 'applied', changed: 'changed', same: 'as it was', removed: 'removed' } as const
  const scheduled = {
    created: 'made',
    changed: 'changed',
    same: 'as it was',
    removed: 'removed',
    none: 'none',
  } as const
  return `${name}: ${words[record]}; schedule: ${scheduled[schedule]}`
}

function whoAmI(): string {
  try {
    return userInfo().username
  } catch {
    // An account without a name, as containers have them.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}

function linesOf(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join('')
}
