// coldframe doctor: looks at everything that a backup needs, says what is missing and what to do, and predicts what it will be like.

import { BackupError, type ErrorKind } from '../lib/base/errors.ts'
import { localDoctor } from '../lib/compose/doctor.ts'
import { defaultPolicy } from '../lib/model/policy.ts'
import type { Check } from '../lib/operate/doctor/check.ts'
import { type DoctorReport, examine } from '../lib/operate/doctor/doctor.ts'
import { rangeText } from '../lib/operate/doctor/predict.ts'
import { stateText } from '../lib/operate/doctor/vm-report.ts'
import type { Answer } from './answer.ts'
import { defaultPolicyNote } from './backup-note.ts'
import { isElsewhere, openHomeIfThere } from './context.ts'
import { policyNamed, policyOfFile } from './policy-files.ts'
import { openProgress } from './progress.ts'
import { readSettings } from './settings.ts'
import { printable, table } from './terminal.ts'
import type { World } from './world.ts'

export type DoctorOptions = {
  readonly vm: readonly string[]
  readonly policy?: string
  /** Log in to guests, too. */
  readonly guest: boolean
}

export async function doctor(options: DoctorOptions, world: World): Promise<Answer> {
  const given = options.policy === undefined ? defaultPolicy() : await policyOfFile(options.policy)
  const settings = await readSettings(world, ['vcenter'])
  const policy = given ?? (await policyNamed(options.policy ?? '', settings, world))
  using state = isElsewhere(world) ? null : await openHomeIfThere(settings, world)
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  if (options.policy === undefined) progress.say(defaultPolicyNote)
  const jobStore = state?.jobStore ?? null
  const { guest: guests } = options
  const deps = await localDoctor({ settings, policy, around: world, jobStore, guests, say: progress.say }, world)
  // Without a policy nothing is selected: then only those that are named are looked at.
  const vms = options.vm.length === 0 && options.policy !== undefined ? null : options.vm
  return answerOf(await examine({ policy, vms }, deps, world))
}

function answerOf(report: DoctorReport): Answer {
  const { checks, vms } = report
  const count = (state: Check['state']) => checks.filter((check) => check.state === state).length
  const summary = {
    ok: count('ok'),
    warnings: count('warning'),
    failed: count('failed'),
    notChecked: count('not-checked'),
  }
  return { data: { summary, checks, vms }, text: textOf(report, summary), fault: faultOf(checks) }
}

/** What an operator's shell is told of a failure; all others are "failed". */
const kinds: Readonly<Record<string, ErrorKind>> = {
  'vm-not-found': 'not-found',
  'vm-ambiguous': 'not-found',
  'nothing-selected': 'not-found',
  'vcenter-login': 'refused',
  'vcenter-thumbprint': 'refused',
  'vcenter-certificate': 'refused',
}

/** A failure with a kind of its own speaks first: others often follow from it. */
function faultOf(checks: readonly Check[]): BackupError | null {
  const bad = checks.filter(({ state }) => state === 'failed')
  const kindOf = ({ code }: Check) => (code !== null && Object.hasOwn(kinds, code) ? kinds[code] : undefined)
  const first = bad.find((check) => kindOf(check) !== undefined) ?? bad[0]
  if (first === undefined) return null
  const kind = kindOf(first)
  const count = bad.length === 1 ? '1 check failed' : `${bad.length} checks failed; first`
  return new BackupError(`${count}: ${first.about}: ${first.found}`, {
    code: first.code ?? 'doctor-failed',
    ...(kind === undefined ? {} : { kind }),
    ...(first.next === null ? {} : { hint: first.next }),
    facts: { failed: bad.map(({ id, about }) => `${id} of ${about}`) },
  })
}

type Summary = {
  readonly ok: number
  readonly warnings: number
  readonly failed: number
  readonly notChecked: number
}

const toldOneByOneMax = 10

function textOf({ checks, vms }: DoctorReport, { ok, warnings, failed, notChecked }: Summary): string {
  const groups = [...Map.groupBy(checks, ({ about }) => about)]
  // Of many VMs only what is not as needed is told one by one.
  const isShort = vms.length > toldOneByOneMax
  const lines = groups.flatMap(([about, of]) => {
    const told = isShort ? of.filter(({ state }) => state !== 'ok') : of
    if (told.length === 0) return []
    return [about, ...told.flatMap(checkLines), '']
  })
  const told = lines.map((line) => `${printable(line)}\n`).join('')
  const sum = `${ok} ok, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}, ${failed} failed, ${notChecked} not checked\n`
  return `${told}${vms.length === 0 ? '' : `${predictionTable(vms)}\n`}${sum}`
}

function checkLines({ state, tried, found, needed, next }: Check): readonly string[] {
  return [
    `  ${stateText(state).padEnd(8)} ${tried}: ${found}`,
    ...(needed === null ? [] : [`           needed: ${needed}`]),
    ...(next === null ? [] : [`           next: ${next}`]),
  ]
}

function predictionTable(vms: DoctorReport['vms']): string {
  const columns = ['VM', 'GRADE', 'TRANSPORT', 'FULL', 'INCREMENTAL'].map((title) => ({
    title,
    align: 'left' as const,
  }))
  const rows = vms.map(({ name, grade, disks, time }) => [
    name,
    grade.grade ?? 'none',
    [...new Set(disks.map(({ transport }) => transport ?? 'none'))].join('+') || '-',
    time.full === null ? '-' : rangeText(time.full),
    time.incremental === null ? '-' : rangeText(time.incremental),
  ])
  return table(columns, rows)
}
