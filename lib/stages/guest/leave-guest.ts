// What finish does in a guest once the restore point is committed, or the job has failed: the post-commit script, then clean-up.

import { hasCode, messageOf } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import { withNotices } from '../../model/advance.ts'
import { endOfRun, type GuestWorkspace } from '../../model/guest.ts'
import type { Job } from '../../model/job.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import { pay } from '../debts.ts'
import type { StageDeps } from '../deps.ts'
import { addEvidence, evidenceOf } from '../evidence.ts'
import type { JobHold } from '../hold.ts'
import { placeOf } from './hold-guest.ts'
import { isGuestFault } from './outcome-of-door.ts'
import { findWayIn, returnTo, vmOfGuest, whyNoWayIn } from './way-in.ts'
import { removeByToken, removeWorkspace, runScript } from './workspace.ts'

export type Left =
  /** Nothing of ours is in the guest any more. */
  | { readonly kind: 'left' }
  /** The guest could not be reached. */
  | { readonly kind: 'unreachable'; readonly reason: string }

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** @throws what is not the guest's: vCenter is away */
export async function leaveGuest(hold: JobHold, { deps, cancel }: Call): Promise<Left> {
  const tokens = hold.job().owes.filter((debt) => debt.kind === 'guest')
  if (tokens.length === 0) return { kind: 'left' }
  const limitMs = deps.limits.guestSetupMs + postCommitOf(hold.job())
  const limited = { deps, cancel: { signal: withTimeLimit(cancel.signal, limitMs) } }
  try {
    return await leave(hold, limited)
  } catch (error) {
    cancel.signal.throwIfAborted()
    if (!isGuestFault(error)) throw error
    return { kind: 'unreachable', reason: messageOf(error) }
  }
}

async function leave(hold: JobHold, { deps, cancel }: Call): Promise<Left> {
  const job = hold.job()
  await using session = await deps.vsphere.open(cancel)

  const vm = await vmOfGuest(session, job, cancel)
  if (vm === null) return paid(hold, cancel)
  const at = { session, vm, job, persist: true }
  const workspace = job.guest?.workspace ?? null
  const way =
    workspace === null ? await findWayIn(at, deps, cancel) : await returnTo({ ...at, workspace }, deps, cancel)
  if (way.entered === null) return { kind: 'unreachable', reason: whyNoWayIn(way) }
  await using channel = way.entered.channel

  if (workspace !== null) await afterCommit({ hold, workspace, channel }, { deps, cancel })
  if (workspace !== null) await removeWorkspace(channel, placeOf(workspace), cancel)
  const { elevated } = way.entered.identity
  for (const debt of hold.job().owes)
    if (debt.kind === 'guest') await removeByToken(channel, { token: debt.token, elevated }, cancel)
  return paid(hold, cancel)
}

async function paid(hold: JobHold, cancel: Cancel): Promise<Left> {
  await forgetGuest(hold, cancel)
  return { kind: 'left' }
}

/** Nothing is owed in the guest any more, and nobody watches for its thaw. */
export async function forgetGuest(hold: JobHold, cancel: Cancel): Promise<void> {
  for (const debt of hold.job().owes) if (debt.kind === 'guest') await pay(hold, debt, cancel)
  await hold.update((job) => ({ ...job, freezeDeadlineMs: null }), cancel)
}

type Inside = { readonly hold: JobHold; readonly workspace: GuestWorkspace; readonly channel: GuestChannel }

/**
 * Never after a failure: what it may do (truncate logs) is safe only once the restore point stands. Once: what was begun and whose
 * end is not known is not begun again.
 */
async function afterCommit({ hold, workspace, channel }: Inside, { deps, cancel }: Call): Promise<void> {
  const { times, guest } = hold.job()
  const begun = guest?.postCommit ?? 'ended'
  if (times.committedAt === null || !workspace.scripts.includes('post-commit') || begun === 'ended') return
  if (begun === 'begun') return noteEnd(hold, 'was begun, and how it ended is not known', cancel)
  await hold.update((job) => withPostCommit(job, 'begun'), cancel)
  try {
    const run = await runScript(channel, { place: placeOf(workspace), stage: 'post-commit' }, cancel)
    deps.log.info('guest.post-commit', { exitCode: run.exitCode, timedOut: run.timedOut, elapsedMs: run.elapsedMs })
    await addEvidence(hold, evidenceOf([run]), cancel)
    await noteEnd(hold, run.succeeded ? null : `failed (${endOfRun(run)})`, cancel)
  } catch (error) {
    if (!hasCode(error, 'guest-workspace-missing')) throw error
    await noteEnd(hold, 'did not run: the guest was started anew, and its memory is empty', cancel)
  }
}

/** Written at once: what comes after it may fail and begin again. */
async function noteEnd(hold: JobHold, failure: string | null, cancel: Cancel): Promise<void> {
  await hold.update((job) => {
    const ended = withPostCommit(job, 'ended')
    if (failure === null) return ended
    const message = `The post-commit script of "${job.vm.name}" ${failure}; the restore point is not touched by that`
    const hint = 'Logs that it should have truncated may still be there'
    return withNotices(ended, [{ code: 'post-commit-failed', message, hint }])
  }, cancel)
}

function withPostCommit(job: Job, postCommit: NonNullable<Job['guest']>['postCommit']): Job {
  return { ...job, guest: job.guest === null ? null : { ...job.guest, postCommit } }
}

function postCommitOf({ guest, policy }: Job): number {
  const family = guest?.workspace?.family
  return family === undefined ? 0 : (policy.scripts[family].postCommit?.timeoutMs ?? 0)
}
