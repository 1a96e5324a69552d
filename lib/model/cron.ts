// Five cron fields: what they say, and the same for EventBridge Scheduler. Pure; when they fire is in cron-times.ts.

import { unreachable } from '../base/errors.ts'

/** Ascending numbers; or any; or a day counted from the end of its month. */
export type CronField =
  | { readonly kind: 'any' }
  | { readonly kind: 'list'; readonly values: readonly number[] }
  /** The last day of the month. */
  | { readonly kind: 'last-day' }
  /** This weekday's nth time in the month, 1 to 5, or its last time. 0 is Sunday. */
  | { readonly kind: 'weekday-of-month'; readonly weekday: number; readonly which: number | 'last' }

export type Cron = {
  readonly minute: CronField
  readonly hour: CronField
  readonly day: CronField
  readonly month: CronField
  /** 0 is Sunday. */
  readonly weekday: CronField
}

type Form = {
  readonly what: string
  readonly low: number
  readonly high: number
  readonly names: readonly string[]
}

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

const FORMS = {
  minute: { what: 'minute', low: 0, high: 59, names: [] },
  hour: { what: 'hour', low: 0, high: 23, names: [] },
  day: { what: 'day of the month', low: 1, high: 31, names: [] },
  month: { what: 'month', low: 1, high: 12, names: ['', ...MONTHS] },
  // 7 is Sunday as well.
  weekday: { what: 'weekday', low: 0, high: 7, names: WEEKDAYS },
} as const satisfies Readonly<Record<keyof Cron, Form>>

/**
 * @returns the fields, or in words what is wrong: a half sentence that follows "must be", "says" or a path
 *
 * Both day fields at once are refused: cron takes either, EventBridge Scheduler knows no such form, and people expect both to hold.
 */
export function parseCron(text: string): { readonly cron: Cron } | { readonly fault: string } {
  const parts = text.trim().split(/\s+/)
  const [minute, hour, day, month, weekday] = parts
  if (parts.length !== 5 || weekday === undefined) {
    return { fault: 'must be five cron fields, for example "0 22 * * *"' }
  }
  const faults: string[] = []
  const read = (field: string | undefined, form: Form): CronField => {
    const known = fieldOf(field ?? '', form)
    if (typeof known !== 'string') return known
    faults.push(known)
    return { kind: 'any' }
  }
  const cron: Cron = {
    minute: read(minute, FORMS.minute),
    hour: read(hour, FORMS.hour),
    day: read(day, FORMS.day),
    month: read(month, FORMS.month),
    weekday: read(weekday, FORMS.weekday),
  }
  const [fault] = faults
  if (fault !== undefined) return { fault }
  if (cron.day.kind !== 'any' && cron.weekday.kind !== 'any') {
    return {
      fault:
        'names days of the month and weekdays at once: cron would take either, and schedulers differ; put "*" in one of the two, or write two policies',
    }
  }
  return { cron }
}

/** Length of ScheduleExpression in EventBridge Scheduler's API (CreateSchedule). */
const EXPRESSION_LENGTH_MAX = 256

/**
 * The ScheduleExpression of EventBridge Scheduler for what a policy says: cron() has six fields, "?" for the day field that says
 * nothing, and weekdays from 1 for Sunday. Lists are written out, since only some steps are documented there.
 */
export function schedulerExpression(
  when: { readonly kind: 'cron'; readonly fields: string } | { readonly kind: 'rate'; readonly everyMs: number },
): { readonly expression: string } | { readonly fault: string } {
  if (when.kind === 'rate') return rateExpression(when.everyMs)
  const parsed = parseCron(when.fields)
  if ('fault' in parsed) return parsed
  const { minute, hour, day, month, weekday } = parsed.cron
  const days = weekday.kind === 'any' ? [wordOf(day), '?'] : ['?', wordOf(weekday, 1)]
  const expression = `cron(${[wordOf(minute), wordOf(hour), days[0], wordOf(month), days[1], '*'].join(' ')})`
  if (expression.length <= EXPRESSION_LENGTH_MAX) return { expression }
  return {
    fault: `is too long for EventBridge Scheduler: ${expression.length} characters written out, at most ${EXPRESSION_LENGTH_MAX}`,
  }
}

const MINUTE_MS = 60_000

function rateExpression(everyMs: number): { readonly expression: string } | { readonly fault: string } {
  const minutes = everyMs / MINUTE_MS
  if (!Number.isInteger(minutes) || minutes < 1) return { fault: 'must be whole minutes' }
  const [count, unit] =
    minutes % 1_440 === 0 ? [minutes / 1_440, 'day'] : minutes % 60 === 0 ? [minutes / 60, 'hour'] : [minutes, 'minute']
  return { expression: `rate(${count} ${unit}${count === 1 ? '' : 's'})` }
}

/** The one time of day in minutes that fields name; null when they name several or none. */
export function timeOfDay({ minute, hour }: Pick<Cron, 'minute' | 'hour'>): number | null {
  if (minute.kind !== 'list' || hour.kind !== 'list') return null
  const [one, ...more] = minute.values
  const [hours, ...others] = hour.values
  return one === undefined || hours === undefined || more.length + others.length > 0 ? null : hours * 60 + one
}

/** @returns the field, or what is wrong with it */
function fieldOf(text: string, form: Form): CronField | string {
  const upper = text.toUpperCase()
  if (upper === '*' || (upper === '?' && (form === FORMS.day || form === FORMS.weekday))) return { kind: 'any' }
  if (form === FORMS.day && upper === 'L') return { kind: 'last-day' }
  const special = form === FORMS.weekday ? weekdayOfMonth(upper) : null
  if (special !== null) return special
  const values = new Set<number>()
  for (const item of upper.split(',')) {
    const numbers = numbersOf(item, form)
    if (numbers === null) return `has "${text}" for the ${form.what}: ${neededOf(form)}`
    for (const number of numbers) values.add(form === FORMS.weekday && number === 7 ? 0 : number)
  }
  const all = form === FORMS.weekday ? 7 : form.high - form.low + 1
  return values.size === all ? { kind: 'any' } : { kind: 'list', values: [...values].toSorted((a, b) => a - b) }
}

function neededOf({ low, high, names }: Form): string {
  const named = names.filter((name) => name !== '')
  const words = named.length === 0 ? '' : ` or ${named[0]} to ${named.at(-1)}`
  return `numbers from ${low} to ${high}${words} are needed, as lists "1,3", ranges "1-5" or steps "*/2"`
}

/** "5#2": the second Friday; "5L": the last one. */
function weekdayOfMonth(text: string): CronField | null {
  const match = /^([0-7]|[A-Z]{3})(?:#([1-5])|L)$/.exec(text)
  if (match === null) return null
  const weekday = numberOf(match[1] ?? '', FORMS.weekday)
  if (weekday === null) return null
  return { kind: 'weekday-of-month', weekday: weekday % 7, which: match[2] === undefined ? 'last' : Number(match[2]) }
}

/** One item of a list: "5", "1-5", "*", each with "/2" or without. */
function numbersOf(item: string, form: Form): readonly number[] | null {
  const match = /^(\*|([0-9A-Z]+)(?:-([0-9A-Z]+))?)(?:\/([0-9]{1,2}))?$/.exec(item)
  if (match === null) return null
  const [, whole, from, to, by] = match
  const step = by === undefined ? 1 : Number(by)
  const low = whole === '*' ? form.low : numberOf(from ?? '', form)
  const single = whole !== '*' && to === undefined
  const high = whole === '*' ? form.high : to !== undefined ? numberOf(to, form) : by === undefined ? low : form.high
  if (low === null || high === null || step < 1 || low > high) return null
  // A step over every weekday must not count Sunday twice.
  const top = form === FORMS.weekday && (whole === '*' || (single && by !== undefined)) ? 6 : high
  return Array.from({ length: Math.floor((top - low) / step) + 1 }, (_, index) => low + index * step)
}

function numberOf(text: string, { low, high, names }: Form): number | null {
  const named = names.indexOf(text)
  const number = /^[0-9]{1,2}$/.test(text) ? Number(text) : text === '' || named < 0 ? null : named
  return number !== null && number >= low && number <= high ? number : null
}

/** @param offset added to each number: EventBridge counts weekdays from 1 */
function wordOf(field: CronField, offset = 0): string {
  switch (field.kind) {
    case 'any':
      return '*'
    case 'last-day':
      return 'L'
    case 'weekday-of-month':
      return field.which === 'last' ? `${field.weekday + offset}L` : `${field.weekday + offset}#${field.which}`
    case 'list':
      return runsOf(field.values.map((value) => value + offset))
        .map(({ first, last }) =>
          last === first ? `${first}` : last === first + 1 ? `${first},${last}` : `${first}-${last}`,
        )
        .join(',')
    default:
      return unreachable(field)
  }
}

function runsOf(values: readonly number[]): readonly { readonly first: number; readonly last: number }[] {
  const runs: { first: number; last: number }[] = []
  for (const value of values) {
    const run = runs.at(-1)
    if (run !== undefined && run.last === value - 1) run.last = value
    else runs.push({ first: value, last: value })
  }
  return runs
}
