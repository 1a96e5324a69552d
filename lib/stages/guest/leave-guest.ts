// What finish does in a guest once the restore point is committed, or the job has failed: the post-commit script, then clean-up.

import { messageOf } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { GuestWorkspace } from '../../model/guest.ts'
import type { Job } from '../../model/job.ts'
import type { Notice } from '../../model/outcome.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import { pay } from '../debts.ts'
import type { StageDeps } from '../deps.ts'
import type { JobHold } from '../hold.ts'
import { placeOf } from './hold-guest.ts'
import { isGuestFault } from './outcome-of-door.ts'
import { findWayIn, returnTo, vmOfGuest, whyNoWayIn } from './way-in.ts'
import { removeByToken, removeWorkspace, runScript } from './workspace.ts'

export type Left =
  /** Nothing of ours is in the guest any more. */
  | { readonly kind: 'left'; readonly notices: readonly Notice[] }
  /** The guest could not be reached. */
  | { readonly kind: 'unreachable'; readonly reason: string }

type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** @throws what is not the guest's: vCenter is away */
export async function leaveGuest(hold: JobHold, { deps, cancel }: Call): Promise<Left> {
  const tokens = hold.job().owes.filter((debt) => debt.kind === 'guest')
  if (tokens.length === 0) return { kind: 'left', notices: [] }
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
  if (vm === null) return paid(hold, [], cancel)
  const at = { session, vm, job }
  const workspace = job.guest?.workspace ?? null
  const way =
    workspace === null ? await findWayIn(at, deps, cancel) : await returnTo({ ...at, workspace }, deps, cancel)
  if (way.channel === null) return { kind: 'unreachable', reason: whyNoWayIn(way) }
  await using channel = way.channel

  const notices = workspace === null ? [] : await afterCommit({ job, workspace, channel }, { deps, cancel })
  if (workspace !== null) await removeWorkspace(channel, placeOf(workspace), cancel)
  const { elevated } = await channel.whoAmI(cancel)
  for (const debt of hold.job().owes)
    if (debt.kind === 'guest') await removeByToken(channel, { token: debt.token, elevated }, cancel)
  return paid(hold, notices, cancel)
}

async function paid(hold: JobHold, notices: readonly Notice[], cancel: Cancel): Promise<Left> {
  for (const debt of hold.job().owes) if (debt.kind === 'guest') await pay(hold, debt, cancel)
  await hold.update((job) => ({ ...job, freezeDeadlineMs: null }), cancel)
  return { kind: 'left', notices }
}

type Inside = { readonly job: Job; readonly workspace: GuestWorkspace; readonly channel: GuestChannel }

/** Never after a failure: what it may do (truncate logs) is safe only once the restore point stands. */
async function afterCommit({ job, workspace, channel }: Inside, { deps, cancel }: Call): Promise<readonly Notice[]> {
  if (job.times.committedAt === null || !workspace.scripts.includes('post-commit')) return []
  const run = await runScript(channel, { place: placeOf(workspace), stage: 'post-commit' }, cancel)
  deps.log.info('guest.post-commit', { exitCode: run.exitCode, timedOut: run.timedOut, elapsedMs: run.elapsedMs })
  if (run.succeeded) return []
  const how = run.timedOut ? 'was killed at its time limit' : `ended with exit code ${run.exitCode ?? 'unknown'}`
  const message = `The post-commit script of "${job.vm.name}" ${how}; the restore point is not touched by that`
  return [{ code: 'post-commit-failed', message, hint: 'Logs that it should have truncated are still there' }]
}

function postCommitOf({ guest, policy }: Job): number {
  const family = guest?.workspace?.family
  return family === undefined ? 0 : (policy.scripts[family].postCommit?.timeoutMs ?? 0)
}
