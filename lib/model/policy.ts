// A policy: what to protect, when, how consistently, how long. Written as YAML (lib/wire/policy.ts reads it).

import { type PolicyName, parsePolicyName } from './ids.ts'

export type Grade = 'application' | 'filesystem' | 'crash'

export type TransportName = 'san' | 'hotadd' | 'nbdssl' | 'nbd' | 'datastore' | 'lease'

/** One condition on a VM; the fields that are set must all hold. Patterns: '*' any run of characters, '?' one. */
export type Selector = {
  readonly name?: string
  /** "category/tag" */
  readonly tag?: string
  /** "/DC/folder", with everything below it. */
  readonly folder?: string
  readonly cluster?: string
  readonly resourcePool?: string
  readonly datastore?: string
}

/** A VM is selected when it matches one of `any`, all of `all`, and none of `none`. */
export type Selection = {
  readonly any: readonly Selector[]
  readonly all: readonly Selector[]
  readonly none: readonly Selector[]
}

export type ScriptBundle = {
  /** Key in the object store, below "scripts/": a .tgz, .tar.gz or .zip, or a single script. */
  readonly bundle: string
  readonly sha256: string
  /** Path inside the archive; the file's own name for a single script. */
  readonly entry: string
  readonly timeoutMs: number
  readonly successCodes: readonly number[]
  readonly elevated: boolean
}

export type ScriptSet = {
  readonly preFreeze?: ScriptBundle
  readonly postThaw?: ScriptBundle
  /** Runs once the restore point is committed, for example to truncate logs; never after a failure. */
  readonly postCommit?: ScriptBundle
}

/** What some VMs do otherwise: the first entry that matches a VM and names a part decides that part. */
export type GuestOverride = {
  readonly match: Selector
  readonly credentials?: string
  readonly linux?: ScriptSet
  readonly windows?: ScriptSet
}

export type AlarmAction = 'backup' | 'backup+quarantine' | 'freeze-retention'

/** The first rule that matches an alarm decides; the fields that are set must all hold. */
export type AlarmRule = {
  /** Pattern of the alarm's name. */
  readonly alarm: string
  /** Words of the source that it rates alarms by, case not counted; left out: any. */
  readonly criticality?: readonly string[]
  readonly action: AlarmAction
  /** Whether alarms of storage, snapshots and consolidation count as well: our own snapshots may raise them. */
  readonly storage?: boolean
}

export type Policy = {
  readonly name: PolicyName
  readonly select: Selection
  /** Patterns of disk labels or file names ("[ds] dir/name.vmdk") that are left out, by name, and listed on the point. */
  readonly disks: { readonly exclude: readonly string[] }
  readonly schedule: {
    /** Exactly one of these three is set: five cron fields, a fixed interval, or how old a VM's newest point may become. */
    readonly cron: string | null
    readonly rateMs: number | null
    readonly rpoMs: number | null
    readonly timeZone: string
    /** "HH:MM" local to the time zone: no backup begins outside of the window. */
    readonly windowOpen: string | null
    readonly windowClose: string | null
    /** Starts are spread over so long after their time. */
    readonly jitterMs: number
  } | null
  /** What alarms of vCenter may do to VMs of this policy; without a rule they are recorded only. */
  readonly alarms: {
    readonly rules: readonly AlarmRule[]
    /** After an alarm has acted on a VM, further ones are recorded only for so long. */
    readonly debounceMs: number
    /** How many runs alarms may start for this policy in one day of the schedule's time zone (UTC without one). */
    readonly budgetPerDay: number
  }
  readonly consistency: {
    readonly want: Grade
    readonly require: Grade
    /** How VMware Tools ask the Volume Shadow Copy Service of a Windows guest. */
    readonly vss: {
      /** 'full' has writers truncate their logs inside the snapshot, before a byte is read. */
      readonly backupType: 'copy' | 'full'
      /** 5 to 240 (VirtualMachineWindowsQuiesceSpec.timeout). */
      readonly timeoutMinutes: number
    }
  }
  readonly guest: {
    readonly mode: 'require' | 'try' | 'off'
    readonly order: readonly ('network' | 'vix')[]
    /** The name of a secret. */
    readonly credentials: string | null
    readonly hostKey: 'pinned' | 'first-seen'
    /** CIDR blocks; an empty `only` allows every address. */
    readonly subnets: { readonly only: readonly string[]; readonly none: readonly string[] }
    readonly overrides: readonly GuestOverride[]
  }
  readonly scripts: {
    readonly linux: ScriptSet
    readonly windows: ScriptSet
    readonly freezeLimitMs: number
  }
  readonly transport: readonly TransportName[]
  readonly changeTracking: {
    /** Share of the chunks that changed block tracking calls unchanged and that each run re-reads and compares: 0 to 100. */
    readonly auditPercent: number
  }
  /** Beyond either cap the read ends and the snapshot goes; the VM is not harmed. */
  readonly snapshot: {
    readonly ageMsMax: number
    /** Of all its deltas together; null: bounded by the free space of their datastores alone. */
    readonly growthBytesMax: number | null
  }
  /** VMs of one group never have a snapshot of ours at once: those of the policy, or those with one tag of a category. */
  readonly antiAffinity: { readonly policy: boolean; readonly tagCategories: readonly string[] }
  readonly retention: {
    readonly last: number
    readonly daily: number
    readonly weekly: number
    readonly monthly: number
    readonly yearly: number
    readonly timeZone: string
  } | null
  /** zstd level 1 to 19 for new chunks. */
  readonly compressionLevel: number
  /** How often a job may capture anew after a failure that may pass. */
  readonly attemptsMax: number
}

/** Used when no policy is given: quiesce tried, crash-consistent accepted, no guest processing, datastore, then lease. */
export function defaultPolicy(): Policy {
  return {
    name: parsePolicyName('default'),
    select: { any: [], all: [], none: [] },
    disks: { exclude: [] },
    schedule: null,
    alarms: { rules: [], debounceMs: 30 * 60_000, budgetPerDay: 20 },
    consistency: { want: 'filesystem', require: 'crash', vss: { backupType: 'copy', timeoutMinutes: 5 } },
    guest: {
      mode: 'off',
      order: ['network', 'vix'],
      credentials: null,
      hostKey: 'pinned',
      subnets: { only: [], none: [] },
      overrides: [],
    },
    scripts: { linux: {}, windows: {}, freezeLimitMs: 180_000 },
    transport: ['datastore', 'lease'],
    changeTracking: { auditPercent: 2 },
    snapshot: { ageMsMax: 24 * 3_600_000, growthBytesMax: null },
    antiAffinity: { policy: false, tagCategories: [] },
    retention: null,
    compressionLevel: 1,
    attemptsMax: 3,
  }
}

/** The longest that the post-thaw script of a guest may take; 0 where there is none. */
export function postThawMs({ scripts }: Pick<Policy, 'scripts'>, family: 'linux' | 'windows'): number {
  return scripts[family].postThaw?.timeoutMs ?? 0
}

/** Whether a key of the object store is one for script bundles: below "scripts/", of letters, digits, '.', '_' and '-'. */
export function isScriptKey(text: string): boolean {
  return /^scripts(?:\/(?!\.\.?(?:\/|$))[A-Za-z0-9._-]+)+$/.test(text)
}

const GRADE_ORDER: readonly Grade[] = ['crash', 'filesystem', 'application']

/** Whether `reached` is at least as consistent as `needed`; a powered-off VM ('offline') satisfies every grade. */
export function gradeSatisfies(reached: Grade | 'offline', needed: Grade): boolean {
  return reached === 'offline' || GRADE_ORDER.indexOf(reached) >= GRADE_ORDER.indexOf(needed)
}

/** Whether `text` matches a pattern of '*' and '?', case not counted, whole text. */
export function matchesPattern(text: string, pattern: string): boolean {
  return compiled(pattern).test(text)
}

const compiledMax = 1_000
const known = new Map<string, RegExp>()

/** The same few patterns are asked about every VM. */
function compiled(pattern: string): RegExp {
  const before = known.get(pattern)
  if (before !== undefined) return before
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const made = new RegExp(`^${source}$`, 'is')
  if (known.size >= compiledMax) known.clear()
  known.set(pattern, made)
  return made
}
