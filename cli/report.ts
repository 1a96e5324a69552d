// coldframe report: how well the applied policies are kept.

import { BackupError } from '../lib/base/errors.ts'
import { formatDuration } from '../lib/base/text.ts'
import { lookForReport } from '../lib/operate/policy-look.ts'
import { type Missed, type PolicyReport, reportPolicies } from '../lib/operate/policy-report.ts'
import { describeVms, driftWords } from '../lib/operate/policy-words.ts'
import type { Answer } from './answer.ts'
import { openPolicyLook } from './policy-place.ts'
import { printable, shortTime } from './terminal.ts'
import type { World } from './world.ts'

const toldMax = 50

export async function report(world: World): Promise<Answer> {
  using place = await openPolicyLook(world)

  const found = reportPolicies(await lookForReport(place.deps, world))
  return {
    data: found,
    text: textOf(found)
      .map((line) => `${printable(line)}\n`)
      .join(''),
    fault: faultOf(found),
  }
}

function textOf(found: PolicyReport): readonly string[] {
  const { missed, never, lower, unprotected, several, quarantined, retentionFrozen, drift } = found
  const lines = [
    ...drift.map((each) => `policy ${each.policy}: its schedule is ${driftWords[each.drift]}`),
    ...cut(missed.map(missedWords)),
    ...(never.length === 0 ? [] : [`never backed up: ${describeVms(never.map(({ vm }) => vm))}`]),
    ...cut(
      lower.map(({ policy, vm, grade, want }) => `${vm.name}: grade "${grade}", policy ${policy} wants "${want}"`),
    ),
    ...quarantined.map(
      ({ vm, since, alarmName }) => `${vm.name}: in quarantine since ${shortTime(since)} UTC, alarm "${alarmName}"`,
    ),
    ...retentionFrozen.map(
      ({ vm, since, alarmName }) => `${vm.name}: retention frozen since ${shortTime(since)} UTC, alarm "${alarmName}"`,
    ),
    ...(unprotected.length === 0 ? [] : [`in no policy: ${describeVms(unprotected)}`]),
    ...cut(several.map(({ vm, policies }) => `${vm.name}: in ${policies.length} policies: ${policies.join(', ')}`)),
  ]
  const sum = `${found.vms} VMs: ${missed.length} missed, ${never.length} never backed up, ${lower.length} below the grade wanted, ${unprotected.length} in no policy`
  return [...lines, sum]
}

function missedWords({ policy, vm, kind, lastSuccessAt, byMs, failures }: Missed): string {
  const what =
    kind === 'rpo'
      ? `RPO of policy ${policy} missed by ${formatDuration(byMs)}`
      : `start of policy ${policy} ${formatDuration(byMs)} ago brought no restore point`
  const last =
    lastSuccessAt === null ? 'no restore point is known' : `last restore point ${shortTime(lastSuccessAt)} UTC`
  return `${vm.name}: ${what}; ${last}${failures === 0 ? '' : `, ${failures} failed in a row`}`
}

function cut(lines: readonly string[]): readonly string[] {
  return lines.length <= toldMax
    ? lines
    : [...lines.slice(0, toldMax), `and ${lines.length - toldMax} more; --json has all`]
}

/** What was promised and is not kept. The rest is worth a look and no failure. */
function faultOf({ missed, drift }: PolicyReport): BackupError | null {
  if (missed.length === 0 && drift.length === 0) return null
  const parts = [
    ...(missed.length === 0 ? [] : [`${missed.length} ${missed.length === 1 ? 'VM has' : 'VMs have'} missed a backup`]),
    ...(drift.length === 0
      ? []
      : [`${drift.length} ${drift.length === 1 ? 'schedule is' : 'schedules are'} not as applied`]),
  ]
  return new BackupError(parts.join('; '), {
    code: missed.length === 0 ? 'schedule-drift' : 'rpo-missed',
    hint:
      drift.length === 0
        ? '"coldframe jobs" tells what became of their last backups'
        : 'Apply the policies again: that mends their schedules',
    facts: { missed: missed.slice(0, 100).map(({ vm }) => vm.name), drift: drift.map(({ policy }) => policy) },
  })
}
