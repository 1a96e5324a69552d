// A policy as a person writes it: YAML, version 1 of DESIGN's form. Every fault is listed with its line.

import * as z from 'zod'
import { BackupError, messageOf } from '../base/errors.ts'
import { parseSubnet } from '../model/guest-address.ts'
import {
  defaultPolicy,
  gradeSatisfies,
  isScriptKey,
  type Policy,
  type ScriptBundle,
  type ScriptSet,
  type Selector,
} from '../model/policy.ts'
import { grade, transportName } from './policy-record.ts'
import { policyName } from './scalars.ts'
import { faultLines, readYaml } from './yaml-reader.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY }

/**
 * @param file only named in the message
 * @throws BackupError `policy-malformed` (kind usage); facts.faults holds one line a fault
 */
export function parsePolicy(text: string, file: string): Policy {
  const result = readYaml(text, policyText)
  if (result.kind === 'read') return policyOf(result.value)
  const faults = faultLines(result.faults)
  throw new BackupError(
    `Cannot read policy "${file}": ${faults.length === 1 ? '1 fault' : `${faults.length} faults`}`,
    {
      code: 'policy-malformed',
      kind: 'usage',
      hint: 'Correct the lines that are named; nothing was started',
      facts: { file, faults },
    },
  )
}

/** "180s", "5m", "4h", "1d", "500ms" in milliseconds; null when it is none of these. */
export function parseDuration(text: string): number | null {
  const match = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(text)
  return match === null ? null : Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0)
}

const SIZE_UNITS: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

/** "500MiB", "50GiB", "2TiB" in bytes. */
const size = z.string().transform((text, context) => {
  const match = /^([0-9]{1,7})(MiB|GiB|TiB)$/.exec(text)
  if (match !== null && Number(match[1]) > 0) return Number(match[1]) * (SIZE_UNITS[match[2] ?? ''] ?? 0)
  context.addIssue({ code: 'custom', message: `"${text}" must be a size such as "500MiB", "50GiB" or "2TiB"` })
  return z.NEVER
})

function duration(range: {
  readonly leastMs: number
  readonly mostMs: number
  readonly words: string
}): z.ZodType<number> {
  const form = `must be a time such as "90s", "5m" or "4h", ${range.words}`
  return z.string({ error: form }).transform((text, context) => {
    const ms = parseDuration(text)
    if (ms !== null && ms >= range.leastMs && ms <= range.mostMs) return ms
    context.addIssue({ code: 'custom', message: `"${text}" ${form}` })
    return z.NEVER
  })
}

const SCRIPT_ENTRY = /^(?!.*(?:^|\/)\.\.?(?:\/|$))[^/\\:*?"<>|\p{Cc}][^\\:*?"<>|\p{Cc}]*\.(?:sh|ps1|cmd|bat|exe)$/iu

/** A secret's name is part of a variable's or a file's name. */
const secretName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a name of a-z, 0-9 and "-", at most 63 characters')

const cidr = z.string().refine((text) => parseSubnet(text) !== null, {
  error: 'must be a subnet such as "192.0.2.0/24" or "2001:db8::/32"',
})

const timeZone = z.string().refine(isTimeZone, { error: 'must be a time zone such as "Europe/Berlin" or "UTC"' })
const pattern = z.string().min(1, 'must not be empty').max(500)
const kept = z.int().min(0).max(100_000)

const selector = z
  .strictObject({
    name: z.exactOptional(pattern),
    tag: z.exactOptional(pattern.regex(/^[^/]+\/.+$/, 'must be "category/tag"')),
    folder: z.exactOptional(pattern.regex(/^\//, 'must start with "/", for example "/DC/folder"')),
    cluster: z.exactOptional(pattern),
    resourcePool: z.exactOptional(pattern),
    datastore: z.exactOptional(pattern),
  })
  .refine((conditions) => Object.keys(conditions).length > 0, {
    error: 'an empty condition would match every VM; write {name: "*"} if you mean that',
  })

/** A stage has 15 minutes, in which freeze, snapshot and thaw must fit. */
const shortTimeout = duration({ leastMs: SECOND, mostMs: 3 * MINUTE, words: '1 s to 3 m' }).default(2 * MINUTE)
const longTimeout = duration({ leastMs: SECOND, mostMs: 10 * MINUTE, words: '1 s to 10 m' }).default(10 * MINUTE)

function bundle(timeout: typeof shortTimeout) {
  return z.strictObject({
    bundle: z.string().refine(isScriptKey, { error: 'must be a key below "scripts/", for example "scripts/db-1.tgz"' }),
    sha256: z.string().regex(/^[0-9a-fA-F]{64}$/, 'must be the SHA-256 of the bundle: 64 hex digits'),
    entry: z
      .string()
      .regex(SCRIPT_ENTRY, 'must be a path inside the bundle that ends in .sh, .ps1, .cmd, .bat or .exe'),
    timeout,
    successCodes: z.array(z.int().min(0).max(0xffff_ffff)).min(1).default([0]),
    elevated: z.boolean().default(false),
  })
}

const scriptSet = z
  .strictObject({
    preFreeze: z.exactOptional(bundle(longTimeout)),
    postThaw: z.exactOptional(bundle(shortTimeout)),
    postCommit: z.exactOptional(bundle(longTimeout)),
  })
  .refine(({ preFreeze, postThaw }) => postThaw === undefined || preFreeze !== undefined, {
    path: ['postThaw'],
    error: 'has nothing to thaw: name a preFreeze script as well',
  })

const guestOverride = z
  .strictObject({
    match: selector,
    credentials: z.exactOptional(secretName),
    linux: z.exactOptional(scriptSet),
    windows: z.exactOptional(scriptSet),
  })
  .refine(({ match, ...rest }) => Object.keys(rest).length > 0, {
    error: 'changes nothing: name credentials or scripts',
  })

const schedule = z
  .strictObject({
    cron: z.exactOptional(z.string().refine(isCron, { error: 'must be five cron fields, for example "0 22 * * *"' })),
    rpo: z.exactOptional(duration({ leastMs: 5 * MINUTE, mostMs: 30 * DAY, words: '5 m to 30 d' })),
    timeZone: timeZone.default('UTC'),
    window: z.exactOptional(
      z.strictObject({
        close: z
          .string()
          .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'must be a time of day in quotes, for example "06:00"'),
      }),
    ),
  })
  .refine((given) => (given.cron === undefined) !== (given.rpo === undefined), {
    error: 'needs either cron or rpo, and not both',
    when: ({ value }) => typeof value === 'object' && value !== null,
  })

const vss = z
  .strictObject({
    backupType: z.enum(['copy', 'full']).default('copy'),
    timeout: duration({ leastMs: 5 * MINUTE, mostMs: 10 * MINUTE, words: '5 m to 10 m' }).default(5 * MINUTE),
    allowTruncationBeforeCommit: z.boolean().default(false),
  })
  .refine(({ backupType, allowTruncationBeforeCommit }) => backupType === 'copy' || allowTruncationBeforeCommit, {
    path: ['backupType'],
    error:
      '"full" has applications truncate their logs inside the snapshot, before a byte of it is stored: a backup that fails after that has lost them. ' +
      'Use "copy" with a postCommit script, or set allowTruncationBeforeCommit: true',
    when: ({ value }) => typeof value === 'object' && value !== null,
  })

const policyText = z
  .strictObject({
    name: policyName,
    select: z.exactOptional(
      z.strictObject({
        any: z.array(selector).min(1, 'needs at least one condition'),
        all: z.array(selector).default([]),
        none: z.array(selector).default([]),
      }),
    ),
    disks: z.exactOptional(z.strictObject({ exclude: z.array(pattern).default([]) })),
    schedule: z.exactOptional(schedule),
    consistency: z.exactOptional(
      z
        .strictObject({
          want: grade,
          require: grade.default('crash'),
          vss: z.exactOptional(vss),
        })
        .refine(({ want, require }) => gradeSatisfies(want, require), {
          path: ['require'],
          error: 'asks for more than want does',
          when: ({ value }) => typeof value === 'object' && value !== null,
        }),
    ),
    guest: z.exactOptional(
      z.strictObject({
        mode: z.enum(['require', 'try', 'off']),
        order: z
          .array(z.enum(['network', 'vix']))
          .min(1)
          .refine(isSet, { error: 'names one twice' })
          .default(['network', 'vix']),
        credentials: z.exactOptional(secretName),
        hostKey: z.enum(['pinned', 'first-seen']).default('pinned'),
        subnets: z.exactOptional(z.strictObject({ only: z.array(cidr).default([]), none: z.array(cidr).default([]) })),
        overrides: z.array(guestOverride).default([]),
      }),
    ),
    scripts: z.exactOptional(
      z.strictObject({
        linux: scriptSet.default({}),
        windows: scriptSet.default({}),
        freezeLimit: duration({ leastMs: SECOND, mostMs: 9 * MINUTE, words: '1 s to 9 m' }).default(3 * MINUTE),
      }),
    ),
    transport: z.exactOptional(
      z.array(transportName).min(1, 'needs at least one').refine(isSet, { error: 'names one twice' }),
    ),
    changeTracking: z.exactOptional(z.strictObject({ audit: z.number().min(0).max(100).default(2) })),
    snapshot: z.exactOptional(
      z.strictObject({
        ageMax: duration({ leastMs: 10 * MINUTE, mostMs: 7 * DAY, words: '10 m to 7 d' }).default(DAY),
        growthMax: z.exactOptional(size),
      }),
    ),
    antiAffinity: z.exactOptional(
      z.strictObject({ policy: z.boolean().default(false), tagCategories: z.array(pattern).default([]) }),
    ),
    retention: z.exactOptional(
      z.strictObject({
        last: kept.default(0),
        daily: kept.default(0),
        weekly: kept.default(0),
        monthly: kept.default(0),
        yearly: kept.default(0),
        timeZone: timeZone.default('UTC'),
      }),
    ),
    compressionLevel: z.exactOptional(z.int().min(1).max(19)),
    attempts: z.exactOptional(z.int().min(1).max(20)),
  })
  .refine((policy) => policy.scripts === undefined || policy.guest?.credentials !== undefined, {
    path: ['guest'],
    error: 'scripts need an account in the guest: name its secret in guest.credentials',
    when: ({ value }) =>
      isRecord(value) && isRecord(value['guest']) && value['guest']['mode'] !== 'off' && hasScripts(value),
  })
  .refine(
    (policy) => hasScripts(policy) || policy.guest?.overrides.some((each) => each.linux ?? each.windows) === true,
    {
      path: ['guest', 'mode'],
      error: '"require" needs a script: nothing else is done in a guest',
      when: ({ value }) => isRecord(value) && isRecord(value['guest']) && value['guest']['mode'] === 'require',
    },
  )
  .refine(({ guest }) => guest?.mode !== 'off' || guest.overrides.length === 0, {
    path: ['guest', 'overrides'],
    error: 'change nothing while guest.mode is "off"',
    when: ({ value }) => isRecord(value) && isRecord(value['guest']),
  })
  .refine((policy) => policy.scripts === undefined || (policy.guest !== undefined && policy.guest.mode !== 'off'), {
    path: ['scripts'],
    error: 'scripts run in the guest: set guest.mode to "require" or "try"',
    when: ({ value }) => typeof value === 'object' && value !== null,
  })

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** Whether the policy itself names a script, whatever its overrides do. */
function hasScripts(policy: Readonly<Record<string, unknown>>): boolean {
  const { scripts } = policy
  if (!isRecord(scripts)) return false
  return [scripts['linux'], scripts['windows']].some((set) => isRecord(set) && Object.keys(set).length > 0)
}

type PolicyText = z.output<typeof policyText>
type BundleText = z.output<ReturnType<typeof bundle>>

function policyOf(text: PolicyText): Policy {
  const base = defaultPolicy()
  const { schedule: when, guest, scripts } = text
  return {
    name: text.name,
    select: text.select === undefined ? base.select : selectionOf(text.select),
    disks: text.disks ?? base.disks,
    schedule:
      when === undefined
        ? null
        : {
            cron: when.cron ?? null,
            rateMs: null,
            rpoMs: when.rpo ?? null,
            timeZone: when.timeZone,
            windowOpen: null,
            windowClose: when.window?.close ?? null,
            jitterMs: 0,
          },
    alarms: base.alarms,
    consistency: text.consistency === undefined ? base.consistency : consistencyOf(text.consistency),
    guest: guest === undefined ? base.guest : guestOf(guest),
    scripts:
      scripts === undefined
        ? base.scripts
        : {
            linux: scriptsOf(scripts.linux),
            windows: scriptsOf(scripts.windows),
            freezeLimitMs: scripts.freezeLimit,
          },
    transport: text.transport ?? base.transport,
    changeTracking:
      text.changeTracking === undefined ? base.changeTracking : { auditPercent: text.changeTracking.audit },
    snapshot:
      text.snapshot === undefined
        ? base.snapshot
        : { ageMsMax: text.snapshot.ageMax, growthBytesMax: text.snapshot.growthMax ?? null },
    antiAffinity: text.antiAffinity ?? base.antiAffinity,
    retention: text.retention ?? null,
    compressionLevel: text.compressionLevel ?? base.compressionLevel,
    attemptsMax: text.attempts ?? base.attemptsMax,
  }
}

function selectionOf(select: { readonly [part in keyof Policy['select']]: readonly Selector[] }): Policy['select'] {
  return { any: select.any, all: select.all, none: select.none }
}

function consistencyOf({ want, require, vss: given }: NonNullable<PolicyText['consistency']>): Policy['consistency'] {
  if (given === undefined) return { ...defaultPolicy().consistency, want, require }
  return { want, require, vss: { backupType: given.backupType, timeoutMinutes: Math.ceil(given.timeout / MINUTE) } }
}

function guestOf({ credentials, subnets, overrides, ...guest }: NonNullable<PolicyText['guest']>): Policy['guest'] {
  return {
    ...guest,
    credentials: credentials ?? null,
    subnets: subnets ?? { only: [], none: [] },
    overrides: overrides.map(({ linux, windows, ...rest }) => ({
      ...rest,
      ...(linux === undefined ? {} : { linux: scriptsOf(linux) }),
      ...(windows === undefined ? {} : { windows: scriptsOf(windows) }),
    })),
  }
}

function scriptsOf(set: z.output<typeof scriptSet>): ScriptSet {
  return {
    ...(set.preFreeze === undefined ? {} : { preFreeze: bundleOf(set.preFreeze) }),
    ...(set.postThaw === undefined ? {} : { postThaw: bundleOf(set.postThaw) }),
    ...(set.postCommit === undefined ? {} : { postCommit: bundleOf(set.postCommit) }),
  }
}

function bundleOf({ timeout, sha256, ...rest }: BundleText): ScriptBundle {
  return { ...rest, sha256: sha256.toLowerCase(), timeoutMs: timeout }
}

function isSet(values: readonly string[]): boolean {
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

/** Five fields of numbers, ranges, lists, steps, or names of months and days. */
function isCron(text: string): boolean {
  const fields = text.trim().split(/\s+/)
  return fields.length === 5 && fields.every((field) => /^[0-9A-Za-z*?,/#-]+$/.test(field))
}
