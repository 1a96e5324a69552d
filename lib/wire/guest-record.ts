// What jobs and trust records keep of guests, as JSON. Strict, as all state is; restore points read it leniently.

import * as z from 'zod'
import type { GradeProof, VssProof } from '../model/grade.ts'
import type { ChannelAttempt, GuestState, GuestTrust, GuestWorkspace, LearnedPins, ScriptRun } from '../model/guest.ts'
import { count } from './scalars.ts'

const channel = z.enum(['ssh', 'winrm', 'vix'])
const family = z.enum(['linux', 'windows'])
const scriptStage = z.enum(['pre-freeze', 'post-thaw', 'post-commit'])
const text = z.string()
const textOrNull = z.string().nullable()

const channelAttempt = z.strictObject({
  channel,
  address: textOrNull,
  outcome: z.enum(['opened', 'unreachable', 'refused', 'impossible']),
  reason: text,
}) satisfies z.ZodType<ChannelAttempt>

const scriptRun = z.strictObject({
  stage: scriptStage,
  exitCode: z.int().nullable(),
  timedOut: z.boolean(),
  succeeded: z.boolean(),
  elapsedMs: count,
  stderr: text,
}) satisfies z.ZodType<ScriptRun>

const vssProof = z.strictObject({
  context: z.enum(['ctx_auto', 'ctx_backup']),
  backupType: z.enum(['copy', 'full']),
  writers: z.array(text),
  manifestBase64: textOrNull,
  absence: textOrNull,
}) satisfies z.ZodType<VssProof>

export const gradeProof = z.strictObject({
  family: family.nullable(),
  attempts: z.array(channelAttempt),
  user: textOrNull,
  elevated: z.boolean().nullable(),
  scripts: z.array(scriptRun),
  thawedBy: z.enum(['capture', 'timer', 'watch', 'release', 'next-freeze']).nullable(),
  vss: vssProof.nullable(),
}) satisfies z.ZodType<GradeProof>

const guestWorkspace = z.strictObject({
  channel,
  address: textOrNull,
  family,
  user: text,
  elevated: z.boolean(),
  path: text,
  scripts: z.array(scriptStage),
}) satisfies z.ZodType<GuestWorkspace>

export const guestState = z.strictObject({
  attempts: z.array(channelAttempt),
  workspace: guestWorkspace.nullable(),
  fallback: textOrNull,
  postCommit: z.enum(['not-run', 'begun', 'ended']),
}) satisfies z.ZodType<GuestState>

const learnedPins = z.strictObject({
  pins: z.array(text),
  learned: z.enum(['vix', 'first-seen']),
  at: text,
}) satisfies z.ZodType<LearnedPins>

export const guestTrust = z.strictObject({
  hostKeys: learnedPins.nullable(),
  certificates: learnedPins.nullable(),
}) satisfies z.ZodType<GuestTrust>
