// A policy as runs and jobs keep it: the model's own form, complete and strict; what earlier programs did not know has its default. Not the YAML a person writes (policy.ts).

import * as z from 'zod'
import { defaultPolicy, type Policy } from '../model/policy.ts'
import { count, policyName } from './scalars.ts'

export const grade = z.enum(['application', 'filesystem', 'crash'])
export const transportName = z.enum(['san', 'hotadd', 'nbdssl', 'nbd', 'datastore', 'lease'])

const selector = z.strictObject({
  name: z.exactOptional(z.string()),
  tag: z.exactOptional(z.string()),
  folder: z.exactOptional(z.string()),
  cluster: z.exactOptional(z.string()),
  resourcePool: z.exactOptional(z.string()),
  datastore: z.exactOptional(z.string()),
})

const bundle = z.strictObject({
  bundle: z.string(),
  sha256: z.string(),
  entry: z.string(),
  timeoutMs: count,
  successCodes: z.array(z.int()),
  elevated: z.boolean(),
})

const scriptSet = z.strictObject({
  preFreeze: z.exactOptional(bundle),
  postThaw: z.exactOptional(bundle),
  postCommit: z.exactOptional(bundle),
})

export const alarmAction = z.enum(['backup', 'backup+quarantine', 'freeze-retention'])

const alarmRule = z.strictObject({
  alarm: z.string(),
  criticality: z.exactOptional(z.array(z.string())),
  action: alarmAction,
  storage: z.exactOptional(z.boolean()),
})

export const policyRecord = z.strictObject({
  name: policyName,
  select: z.strictObject({ any: z.array(selector), all: z.array(selector), none: z.array(selector) }),
  disks: z.strictObject({ exclude: z.array(z.string()) }),
  schedule: z
    .strictObject({
      cron: z.string().nullable(),
      rateMs: count.nullable().default(null),
      rpoMs: count.nullable(),
      timeZone: z.string(),
      windowOpen: z.string().nullable().default(null),
      windowClose: z.string().nullable(),
      jitterMs: count.default(0),
    })
    .nullable(),
  alarms: z
    .strictObject({ rules: z.array(alarmRule), debounceMs: count, budgetPerDay: count })
    .default(() => ({ ...defaultPolicy().alarms, rules: [] })),
  consistency: z.strictObject({
    want: grade,
    require: grade,
    vss: z
      .strictObject({ backupType: z.enum(['copy', 'full']), timeoutMinutes: z.int() })
      .default(defaultPolicy().consistency.vss),
  }),
  guest: z.strictObject({
    mode: z.enum(['require', 'try', 'off']),
    order: z.array(z.enum(['network', 'vix'])),
    credentials: z.string().nullable(),
    hostKey: z.enum(['pinned', 'first-seen']),
    subnets: z.strictObject({ only: z.array(z.string()), none: z.array(z.string()) }).default({ only: [], none: [] }),
    overrides: z
      .array(
        z.strictObject({
          match: selector,
          credentials: z.exactOptional(z.string()),
          linux: z.exactOptional(scriptSet),
          windows: z.exactOptional(scriptSet),
        }),
      )
      .default([]),
  }),
  scripts: z.strictObject({ linux: scriptSet, windows: scriptSet, freezeLimitMs: count }),
  transport: z.array(transportName),
  // Records of before these have none of them.
  changeTracking: z.strictObject({ auditPercent: z.number().min(0).max(100) }).default(defaultPolicy().changeTracking),
  snapshot: z.strictObject({ ageMsMax: count, growthBytesMax: count.nullable() }).default(defaultPolicy().snapshot),
  antiAffinity: z
    .strictObject({ policy: z.boolean(), tagCategories: z.array(z.string()) })
    .default({ policy: false, tagCategories: [] }),
  retention: z
    .strictObject({
      last: count,
      daily: count,
      weekly: count,
      monthly: count,
      yearly: count,
      timeZone: z.string(),
    })
    .nullable(),
  compressionLevel: z.int().min(1).max(19),
  attemptsMax: z.int().min(1).max(9999),
}) satisfies z.ZodType<Policy>
