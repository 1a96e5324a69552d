// The small schemas that a policy's YAML is made of, each with what an editor should know of it.

import * as z from 'zod'
import { messageOf } from '../base/errors.ts'
import { policyName as recordName } from './scalars.ts'

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY }

const DURATION = '^([0-9]{1,9})(ms|s|m|h|d)$'
const SIZE = '^([0-9]{1,7})(MiB|GiB|TiB)$'

/** "180s", "5m", "4h", "1d", "500ms" in milliseconds; null when it is none of these. */
export function parseDuration(text: string): number | null {
  const match = new RegExp(DURATION).exec(text)
  return match === null ? null : Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0)
}

export type DurationRange = { readonly leastMs: number; readonly mostMs: number; readonly words: string }

/** A time in milliseconds. `words` says the range, for example "1 s to 3 m". */
export function duration({ leastMs, mostMs, words }: DurationRange): z.ZodType<number, string> {
  const form = `must be a time such as "90s", "5m" or "4h", ${words}`
  return z
    .string({ error: form })
    .meta({ pattern: DURATION, description: `A time such as "90s", "5m" or "4h", ${words}` })
    .transform((text, context) => {
      const ms = parseDuration(text)
      if (ms !== null && ms >= leastMs && ms <= mostMs) return ms
      context.addIssue({ code: 'custom', message: `"${text}" ${form}` })
      return z.NEVER
    })
}

/** The same in whole minutes, which is all that schedulers know. */
export function wholeMinutes(range: DurationRange): z.ZodType<number, string> {
  return duration(range).refine((ms) => ms % MINUTE === 0, { error: 'must be whole minutes' })
}

const SIZE_UNITS: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

/** "500MiB", "50GiB", "2TiB" in bytes. */
export const size = z
  .string()
  .meta({ pattern: SIZE, description: 'A size such as "500MiB", "50GiB" or "2TiB"' })
  .transform((text, context) => {
    const match = new RegExp(SIZE).exec(text)
    if (match !== null && Number(match[1]) > 0) return Number(match[1]) * (SIZE_UNITS[match[2] ?? ''] ?? 0)
    context.addIssue({ code: 'custom', message: `"${text}" must be a size such as "500MiB", "50GiB" or "2TiB"` })
    return z.NEVER
  })

export const timeZone = z
  .string()
  .refine(isTimeZone, { error: 'must be a time zone such as "Europe/Berlin" or "UTC"' })
  .meta({ description: 'A time zone of the tz database', examples: ['Europe/Berlin', 'UTC'] })

export const timeOfDay = z
  .string()
  .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'must be a time of day in quotes, for example "06:00"')

/** '*' any run of characters, '?' one; case does not count. */
export const pattern = z.string().min(1, 'must not be empty').max(500)

/** A secret's name is part of a variable's or a file's name. */
export const secretName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a name of a-z, 0-9 and "-", at most 63 characters')
  .meta({ description: 'The name of a secret' })

export const policyName = recordName.meta({ pattern: '^[a-z0-9][a-z0-9-]{0,63}$', examples: ['gold'] })

export function isSet(values: readonly string[]): boolean {
  return new Set(values).size === values.length
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) !== null
  } catch (error) {
    if (error instanceof RangeError) return false
    throw new Error(`Cannot judge time zone: ${messageOf(error)}`, { cause: error })
  }
}
