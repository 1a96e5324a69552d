// Guests and their scripts, as a policy's YAML says it.

import * as z from 'zod'
import { parseSubnet } from '../model/guest-address.ts'
import { isScriptKey, type Policy, type ScriptBundle, type ScriptSet } from '../model/policy.ts'
import { duration, isSet, MINUTE, SECOND, secretName } from './policy-scalars.ts'
import { selector } from './policy-selection-text.ts'

const SCRIPT_ENTRY = /^(?!.*(?:^|\/)\.\.?(?:\/|$))[^/\\:*?"<>|\p{Cc}][^\\:*?"<>|\p{Cc}]*\.(?:sh|ps1|cmd|bat|exe)$/iu

const cidr = z.string().refine((text) => parseSubnet(text) !== null, {
  error: 'must be a subnet such as "192.0.2.0/24" or "2001:db8::/32"',
})

/** A stage has 15 minutes, in which freeze, snapshot and thaw must fit. */
const shortTimeout = duration({ leastMs: SECOND, mostMs: 3 * MINUTE, words: '1 s to 3 m' }).default(2 * MINUTE)
const longTimeout = duration({ leastMs: SECOND, mostMs: 10 * MINUTE, words: '1 s to 10 m' }).default(10 * MINUTE)

function bundle(timeout: typeof shortTimeout) {
  return z.strictObject({
    bundle: z
      .string()
      .refine(isScriptKey, { error: 'must be a key below "scripts/", for example "scripts/db-1.tgz"' })
      .meta({ pattern: '^scripts(/[A-Za-z0-9._-]+)+$', examples: ['scripts/db-1.tgz'] })
      .meta({ description: 'The key that "coldframe script" stored the bundle under' }),
    sha256: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/, 'must be the SHA-256 of the bundle: 64 hex digits')
      .meta({ description: 'What the bundle must be, as "coldframe script" printed it' }),
    entry: z
      .string()
      .regex(SCRIPT_ENTRY, 'must be a path inside the bundle that ends in .sh, .ps1, .cmd, .bat or .exe')
      .meta({
        pattern: '\\.[A-Za-z0-9]+$',
        description: 'The script, as a path inside the bundle',
      }),
    timeout,
    successCodes: z
      .array(z.int().min(0).max(0xffff_ffff))
      .min(1)
      .default([0])
      .meta({ description: 'Exit codes that mean success' }),
    elevated: z.boolean().default(false).meta({ description: 'Run as root (sudo -n), or with high integrity' }),
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

export const guest = z
  .strictObject({
    mode: z.enum(['require', 'try', 'off']).meta({ description: 'Whether a backup may be without it' }),
    order: z
      .array(z.enum(['network', 'vix']))
      .min(1)
      .refine(isSet, { error: 'names one twice' })
      .default(['network', 'vix'])
      .meta({ description: 'Ways into a guest, in this order; vix: through VMware Tools' }),
    credentials: z.exactOptional(secretName),
    hostKey: z.enum(['pinned', 'first-seen']).default('pinned'),
    subnets: z.exactOptional(z.strictObject({ only: z.array(cidr).default([]), none: z.array(cidr).default([]) })),
    overrides: z.array(guestOverride).default([]).meta({ description: 'What some VMs do otherwise' }),
  })
  .meta({ description: 'Whether and how guests are entered' })

export const scripts = z
  .strictObject({
    linux: scriptSet.default({}),
    windows: scriptSet.default({}),
    freezeLimit: duration({ leastMs: SECOND, mostMs: 9 * MINUTE, words: '1 s to 9 m' })
      .default(3 * MINUTE)
      .meta({ description: 'The longest that a guest is held frozen' }),
  })
  .meta({ description: 'What runs in guests around the snapshot' })

type GuestText = z.output<typeof guest>
type BundleText = z.output<ReturnType<typeof bundle>>

export function guestOf({ credentials, subnets, overrides, ...guest }: GuestText): Policy['guest'] {
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

export function scriptsOf(set: z.output<typeof scriptSet>): ScriptSet {
  return {
    ...(set.preFreeze === undefined ? {} : { preFreeze: bundleOf(set.preFreeze) }),
    ...(set.postThaw === undefined ? {} : { postThaw: bundleOf(set.postThaw) }),
    ...(set.postCommit === undefined ? {} : { postCommit: bundleOf(set.postCommit) }),
  }
}

function bundleOf({ timeout, sha256, ...rest }: BundleText): ScriptBundle {
  return { ...rest, sha256: sha256.toLowerCase(), timeoutMs: timeout }
}
