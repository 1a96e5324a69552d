// A policy as a person writes it: YAML, version 1 of DESIGN's form. Every fault is listed with its line.

import * as z from 'zod'
import { BackupError } from '../base/errors.ts'
import { defaultPolicy, gradeSatisfies, type Policy } from '../model/policy.ts'
import { guest, guestOf, scripts, scriptsOf } from './policy-guest-text.ts'
import { grade, transportName } from './policy-record.ts'
import { DAY, duration, isSet, MINUTE, pattern, policyName, size, timeZone } from './policy-scalars.ts'
import { alarms, alarmsOf, schedule, scheduleOf } from './policy-schedule-text.ts'
import { disks, selection, selectionOf } from './policy-selection-text.ts'
import { faultLines, readYaml, type YamlFault } from './yaml-reader.ts'

/** The policy of a text, or every fault with its place. */
export function readPolicy(
  text: string,
):
  | { readonly kind: 'read'; readonly policy: Policy }
  | { readonly kind: 'refused'; readonly faults: readonly YamlFault[] } {
  const result = readYaml(text, policyText)
  return result.kind === 'read' ? { kind: 'read', policy: policyOf(result.value) } : result
}

/**
 * @param file only named in the message
 * @throws BackupError `policy-malformed` (kind usage); facts.faults holds one line a fault
 */
export function parsePolicy(text: string, file: string): Policy {
  const result = readPolicy(text)
  if (result.kind === 'read') return result.policy
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

const kept = z.int().min(0).max(100_000)

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

export const policyText = z
  .strictObject({
    name: policyName.meta({ description: 'What the policy is known by' }),
    select: z.exactOptional(selection),
    disks: z.exactOptional(disks),
    schedule: z.exactOptional(schedule),
    alarms: z.exactOptional(alarms),
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
        })
        .meta({ description: 'How consistent a restore point should be, and at least must be' }),
    ),
    guest: z.exactOptional(guest),
    scripts: z.exactOptional(scripts),
    transport: z.exactOptional(
      z
        .array(transportName)
        .min(1, 'needs at least one')
        .refine(isSet, { error: 'names one twice' })
        .meta({ description: 'Ways to read disks, tried in this order' }),
    ),
    changeTracking: z.exactOptional(
      z
        .strictObject({ audit: z.number().min(0).max(100).default(2) })
        .meta({ description: 'Percent of what tracking calls unchanged that each backup reads again' }),
    ),
    snapshot: z.exactOptional(
      z
        .strictObject({
          ageMax: duration({ leastMs: 10 * MINUTE, mostMs: 7 * DAY, words: '10 m to 7 d' }).default(DAY),
          growthMax: z.exactOptional(size),
        })
        .meta({ description: 'Beyond either the read ends and the snapshot goes' }),
    ),
    antiAffinity: z.exactOptional(
      z
        .strictObject({ policy: z.boolean().default(false), tagCategories: z.array(pattern).default([]) })
        .meta({ description: 'VMs that never have a snapshot of ours at once' }),
    ),
    retention: z.exactOptional(
      z
        .strictObject({
          last: kept.default(0),
          daily: kept.default(0),
          weekly: kept.default(0),
          monthly: kept.default(0),
          yearly: kept.default(0),
          timeZone: timeZone.default('UTC'),
        })
        .meta({
          description:
            'Which points the keep rules keep: the newest, and those of the newest days, weeks, months, years',
        }),
    ),
    compressionLevel: z.exactOptional(z.int().min(1).max(19).meta({ description: 'zstd level for what is new' })),
    attempts: z.exactOptional(
      z.int().min(1).max(20).meta({ description: 'How often a job may capture anew after a failure that may pass' }),
    ),
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

function policyOf(text: PolicyText): Policy {
  const base = defaultPolicy()
  const { guest: inGuest, scripts: given } = text
  return {
    name: text.name,
    select: text.select === undefined ? base.select : selectionOf(text.select),
    disks: text.disks ?? base.disks,
    schedule: text.schedule === undefined ? null : scheduleOf(text.schedule),
    alarms: text.alarms === undefined ? base.alarms : alarmsOf(text.alarms),
    consistency: text.consistency === undefined ? base.consistency : consistencyOf(text.consistency),
    guest: inGuest === undefined ? base.guest : guestOf(inGuest),
    scripts:
      given === undefined
        ? base.scripts
        : {
            linux: scriptsOf(given.linux),
            windows: scriptsOf(given.windows),
            freezeLimitMs: given.freezeLimit,
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

function consistencyOf({ want, require, vss: given }: NonNullable<PolicyText['consistency']>): Policy['consistency'] {
  if (given === undefined) return { ...defaultPolicy().consistency, want, require }
  return { want, require, vss: { backupType: given.backupType, timeoutMinutes: Math.ceil(given.timeout / MINUTE) } }
}
