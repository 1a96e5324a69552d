// What prepare does in a guest: finds a way in, and lays wrapper and scripts into its memory before anything is frozen.

import { hexOf } from '../../base/bytes.ts'
import { messageOf } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { ChannelAttempt, GuestFamily, GuestState } from '../../model/guest.ts'
import type { Job } from '../../model/job.ts'
import type { Notice, Outcome } from '../../model/outcome.ts'
import type { VmState } from '../../model/vm.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import type { VsphereSession } from '../../ports/vsphere.ts'
import { owe, pay } from '../debts.ts'
import type { StageDeps } from '../deps.ts'
import type { JobHold } from '../hold.ts'
import { dynamicDiskNotices } from './dynamic-disks.ts'
import { loadScripts, scriptsFor } from './load-scripts.ts'
import { isGuestFault } from './outcome-of-door.ts'
import { accessNotice, findWayIn, whyNoWayIn } from './way-in.ts'
import { installWorkspace, removeByToken } from './workspace.ts'
import type { LoadedScript } from './wrapper.ts'

export type PreparedGuest =
  | { readonly guest: GuestState | null; readonly notices: readonly Notice[] }
  | { readonly outcome: Outcome }

type Found = { readonly session: VsphereSession; readonly vm: VmState }
type Call = { readonly deps: StageDeps; readonly cancel: Cancel }

/** Opens no connection where the policy has guest processing off, or no script for this guest. */
export async function prepareGuest(found: Found, hold: JobHold, call: Call): Promise<PreparedGuest> {
  const { policy } = hold.job()
  const { vm } = found
  if (policy.guest.mode === 'off' || vm.powerState !== 'poweredOn') return { guest: null, notices: [] }
  const family = familyOf(vm)
  if (family === null) {
    const { linux, windows } = policy.scripts
    const none = Object.keys(linux).length + Object.keys(windows).length === 0
    return none ? { guest: null, notices: [] } : withoutScripts(hold.job(), NO_FAMILY, [])
  }
  if (scriptsFor(policy, family).length === 0) return { guest: null, notices: [] }
  const limited = { ...call, cancel: { signal: withTimeLimit(call.cancel.signal, call.deps.limits.guestSetupMs) } }
  const attempts: ChannelAttempt[] = []
  try {
    const repository = await call.deps.repository(call.cancel)
    const scripts = await loadScripts({ store: repository.store, policy, family }, limited.cancel)
    return await layInto({ ...found, family, scripts, attempts }, hold, limited)
  } catch (error) {
    call.cancel.signal.throwIfAborted()
    if (!isGuestFault(error)) throw error
    return withoutScripts(hold.job(), messageOf(error), attempts)
  }
}

const NO_FAMILY = 'Scripts cannot be chosen: the guest is neither Linux nor Windows, as far as vCenter knows'

function familyOf({ guest }: VmState): GuestFamily | null {
  return guest.family === 'linux' || guest.family === 'windows' ? guest.family : null
}

type Laying = Found & {
  readonly family: GuestFamily
  readonly scripts: readonly LoadedScript[]
  readonly attempts: ChannelAttempt[]
}

async function layInto(laying: Laying, hold: JobHold, { deps, cancel }: Call): Promise<PreparedGuest> {
  const { session, vm, attempts } = laying
  const way = await findWayIn({ session, vm, job: hold.job() }, deps, cancel)
  attempts.push(...way.attempts)
  if (way.entered === null) return withoutScripts(hold.job(), whyNoWayIn(way), attempts)
  await using channel = way.entered.channel

  const elevated = scriptsFor(hold.job().policy, laying.family).some(([, script]) => script.elevated)
  const { identity } = way.entered
  if (elevated && !identity.elevated) {
    const why = identity.whyNot ?? 'the account is not elevated'
    return withoutScripts(hold.job(), `Scripts that need elevation cannot run as "${identity.user}": ${why}`, attempts)
  }
  const path = await install({ ...laying, channel, elevated }, hold, { deps, cancel })
  const workspace = {
    channel: channel.kind,
    address: channel.address,
    family: laying.family,
    user: identity.user,
    elevated,
    path,
    scripts: laying.scripts.map(({ stage }) => stage),
  }
  const notices = [...way.warnings.map(accessNotice), ...(await dynamicDiskNotices(channel, hold.job(), cancel))]
  return { guest: { attempts, workspace, fallback: null, postCommit: 'not-run' }, notices }
}

type Installing = Laying & { readonly channel: GuestChannel; readonly elevated: boolean }

/** What an earlier try of this job left is removed first; the new directory is owed before it is made. */
async function install(
  { channel, elevated, scripts }: Installing,
  hold: JobHold,
  { deps, cancel }: Call,
): Promise<string> {
  for (const debt of hold.job().owes) {
    if (debt.kind !== 'guest') continue
    await removeByToken(channel, { token: debt.token, elevated }, cancel)
    await pay(hold, debt, cancel)
  }
  const token = hexOf(deps.random.bytes(16))
  await owe(hold, { kind: 'guest', token }, cancel)
  const job = hold.job()
  const environment = {
    COLDFRAME_JOB: job.id,
    COLDFRAME_VM: job.vm.name,
    COLDFRAME_GRADE: job.policy.consistency.want,
  }
  const { path } = await installWorkspace(channel, { token, elevated, scripts, environment }, cancel)
  deps.log.info('guest.prepared', { channel: channel.kind, address: channel.address, elevated })
  return path
}

/** What the policy makes of a guest that could not be processed. */
function withoutScripts({ vm, policy }: Job, reason: string, attempts: readonly ChannelAttempt[]): PreparedGuest {
  const message = `Guest "${vm.name}" was not processed: ${reason}`
  const hint = 'docs/GUESTS.md says what each way into a guest needs'
  if (policy.guest.mode === 'require')
    return { outcome: { kind: 'failed', code: 'guest-processing-failed', message, hint } }
  const notice = { code: 'guest-processing-failed', message, hint }
  return { guest: { attempts, workspace: null, fallback: reason, postCommit: 'not-run' }, notices: [notice] }
}
