// The way into a guest: over the network first or through VMware Tools, as the policy orders, with the reason of each try.

import { isDeepStrictEqual } from 'node:util'
import { hasCode, messageOf } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { ChannelAttempt, ChannelKind, GuestFamily, GuestIdentity, GuestWorkspace } from '../../model/guest.ts'
import { chooseAddresses } from '../../model/guest-address.ts'
import type { Job } from '../../model/job.ts'
import type { Notice } from '../../model/outcome.ts'
import type { VmState } from '../../model/vm.ts'
import type { GuestChannel, GuestCredentials } from '../../ports/guest.ts'
import type { VsphereSession } from '../../ports/vsphere.ts'
import { type DoorDeps, type Host, openNetworkDoor } from './network-door.ts'
import { isStaleAccount, outcomeOfDoor } from './outcome-of-door.ts'

/** The guest of a job's VM, as vCenter describes it now. */
export type GuestAt = {
  /** Whether other ways are tried in spite of a refusal: for a thaw and for clean-up, which must not wait for an answer. */
  readonly persist?: boolean
  readonly session: VsphereSession
  readonly vm: Pick<VmState, 'moref' | 'name' | 'guest'>
  readonly job: Pick<Job, 'vm' | 'policy'>
}

export type WayIn = {
  /** The caller disposes the channel; null when every way failed. */
  readonly entered: Entered | null
  /** In the order in which they were tried. */
  readonly attempts: readonly ChannelAttempt[]
  readonly warnings: readonly string[]
  /** Whether a refusal ended the search. */
  readonly refused: boolean
}

/** @throws BackupError what is not the guest's: vCenter is away, the account's secret is missing */
export async function findWayIn(at: GuestAt, deps: DoorDeps, cancel: Cancel): Promise<WayIn> {
  const { guest } = at.vm
  const { order } = at.job.policy.guest
  if (guest.family === null || guest.family === 'other')
    return nowhere(order, 'the guest is neither Linux nor Windows, as far as vCenter knows')
  const search: Search = { at, family: guest.family, attempts: [], warnings: [] }
  for (const way of order) {
    const found =
      way === 'network'
        ? await overNetwork(search, deps, cancel)
        : await tryDoor(search, { kind: 'vix', host: null }, { deps, cancel })
    if (found !== null) return wayOf(search, found)
  }
  return wayOf(search, null)
}

function wayOf({ attempts, warnings }: Search, found: Found): WayIn {
  const refused = found !== null && 'refused' in found
  return { entered: refused ? null : found, attempts, warnings, refused }
}

/**
 * The way that a workspace was laid by, or another one that reaches the same guest.
 * @throws BackupError as findWayIn()
 */
export async function returnTo(
  at: GuestAt & { readonly workspace: GuestWorkspace },
  deps: DoorDeps,
  cancel: Cancel,
): Promise<WayIn> {
  const { workspace } = at
  const search: Search = { at, family: workspace.family, attempts: [], warnings: [] }
  const { address, channel: kind } = workspace
  const port = kind === 'vix' ? null : await portOf(at, kind, { deps, cancel })
  const host = address === null || port === null ? null : { address, port }
  const found = await tryDoor(search, { kind, host }, { deps, cancel })
  const way = wayOf(search, found)
  if (found !== null) return way
  const others = await findWayIn(at, deps, cancel)
  return {
    ...others,
    attempts: [...way.attempts, ...others.attempts],
    warnings: [...way.warnings, ...others.warnings],
  }
}

/** A way in that worked, and that the operator should know of. */
export function accessNotice(message: string): Notice {
  return { code: 'guest-access', message, hint: 'docs/GUESTS.md tells more' }
}

/** @returns null when the guest's memory, and what lay there, is gone: the VM is off, removed, or another one by now */
export async function vmOfGuest(
  session: VsphereSession,
  job: Pick<Job, 'vm'>,
  cancel: Cancel,
): Promise<VmState | null> {
  try {
    const vm = await session.readVm(job.vm.moref, cancel)
    return vm.vmId !== job.vm.vmId || vm.powerState === 'poweredOff' ? null : vm
  } catch (error) {
    if (hasCode(error, 'vm-not-found')) return null
    throw error
  }
}

/** Why there is no way in, one sentence of all reasons. */
export function whyNoWayIn({ attempts }: Pick<WayIn, 'attempts'>): string {
  const reasons = attempts.map(({ channel, address, reason }) =>
    address === null ? `${channel}: ${reason}` : `${channel} to "${address}": ${reason}`,
  )
  return `No way into the guest: ${reasons.length === 0 ? 'the policy names none' : reasons.join('; ')}`
}

type Search = {
  readonly at: GuestAt
  readonly family: GuestFamily
  readonly attempts: ChannelAttempt[]
  readonly warnings: string[]
}

type Call = { readonly deps: DoorDeps; readonly cancel: Cancel }
type Door = { readonly kind: ChannelKind; readonly host: Host | null }
type Entered = { readonly channel: GuestChannel; readonly identity: GuestIdentity }
type Found = Entered | { readonly refused: true } | null

function nowhere(order: readonly ('network' | 'vix')[], reason: string): WayIn {
  const attempts = order.map((way): ChannelAttempt => {
    return { channel: way === 'vix' ? 'vix' : 'ssh', address: null, outcome: 'impossible', reason }
  })
  return { entered: null, attempts, warnings: [], refused: false }
}

/** All addresses are asked at once; those that answer are tried in the order of their rank. */
async function overNetwork(search: Search, deps: DoorDeps, cancel: Cancel): Promise<Found> {
  const { at, family } = search
  const { guest, name } = at.vm
  const [first, ...others] = kindsFor(family, await accountOf(at, { deps, cancel }))
  const { addresses, left } = chooseAddresses(guest, at.job.policy.guest.subnets)
  for (const { address, reason } of left) note(search, { kind: first, address }, { outcome: 'impossible', reason })
  if (addresses.length === 0) {
    const reason = guest.toolsRunning
      ? `VMware Tools report no address of "${name}" that can be used`
      : 'VMware Tools do not run, so the address is not known'
    if (left.length === 0) note(search, { kind: first, address: null }, { outcome: 'impossible', reason })
    return null
  }
  const doors: (Door & { readonly kind: 'ssh' | 'winrm'; readonly host: Host })[] = []
  for (const kind of [first, ...others]) {
    const port = await portOf(at, kind, { deps, cancel })
    doors.push(...addresses.map(({ address }) => ({ kind, host: { address, port } })))
  }
  const hosts = doors.map(({ host }) => host)
  const answers = await deps.guests.probe(hosts, { budgetMs: deps.limits.guestProbeMs }, cancel)
  for (const [index, { kind, host }] of doors.entries()) {
    const answer = answers[index]
    if (answer?.kind === 'answers') continue
    note(search, { kind, address: host.address }, { outcome: 'unreachable', reason: answer?.reason ?? 'no answer' })
  }
  for (const [index, door] of doors.entries()) {
    if (answers[index]?.kind !== 'answers') continue
    const found = await tryDoor(search, door, { deps, cancel })
    if (found !== null) return found
  }
  return null
}

/** Windows answers WinRM; OpenSSH there is asked as well where the account has a key for it, or knows its host key. */
function kindsFor(
  family: GuestFamily,
  account: GuestCredentials | null,
): readonly ['ssh' | 'winrm', ...('ssh' | 'winrm')[]] {
  if (family === 'linux') return ['ssh']
  const knowsSsh = account !== null && (account.privateKey !== null || account.hostKeys.length > 0)
  return knowsSsh ? ['winrm', 'ssh'] : ['winrm']
}

async function portOf(at: GuestAt, kind: 'ssh' | 'winrm', { deps, cancel }: Call): Promise<number> {
  const account = await accountOf(at, { deps, cancel })
  if (account === null) return kind === 'ssh' ? 22 : 5986
  return kind === 'ssh' ? account.sshPort : account.winrmPort
}

async function accountOf({ job }: GuestAt, { deps, cancel }: Call): Promise<GuestCredentials | null> {
  const { credentials } = job.policy.guest
  return credentials === null ? null : deps.guestAccount(credentials, cancel)
}

/** A refused account is read once more: it may have been changed meanwhile. */
async function tryDoor(search: Search, door: Door, call: Call): Promise<Found> {
  const account = await accountOf(search.at, call)
  const place = { kind: door.kind, address: door.host?.address ?? null }
  if (account === null) {
    note(search, place, { outcome: 'impossible', reason: 'the policy names no credentials (guest.credentials)' })
    return null
  }
  try {
    return await openDoor(search, door, { account, ...call })
  } catch (error) {
    call.cancel.signal.throwIfAborted()
    const again = isStaleAccount(error) ? await accountOf(search.at, call) : null
    if (again !== null && !isDeepStrictEqual(again, account)) {
      try {
        return await openDoor(search, door, { account: again, ...call })
      } catch (second) {
        return failed(search, place, { error: second, cancel: call.cancel })
      }
    }
    return failed(search, place, { error, cancel: call.cancel })
  }
}

type Place = { readonly kind: ChannelKind; readonly address: string | null }

function failed(search: Search, place: Place, { error, cancel }: { readonly error: unknown; readonly cancel: Cancel }) {
  cancel.signal.throwIfAborted()
  const outcome = outcomeOfDoor(error)
  if (outcome === null) throw error
  note(search, place, { outcome, reason: messageOf(error) })
  return outcome === 'refused' && search.at.persist !== true ? { refused: true as const } : null
}

async function openDoor(
  search: Search,
  { kind, host }: Door,
  { account, deps, cancel }: Call & { readonly account: GuestCredentials },
): Promise<Found> {
  const { at, family } = search
  const limited = { signal: withTimeLimit(cancel.signal, deps.limits.guestOpenMs) }
  if (kind === 'vix' || host === null) {
    const channel = await throughTools({ at, family, account }, limited)
    if (channel === null) {
      const reason = 'the credentials hold no password, which VMware Tools need'
      note(search, { kind: 'vix', address: null }, { outcome: 'impossible', reason })
      return null
    }
    const entered = await proven(channel, limited)
    note(search, { kind: 'vix', address: null }, { outcome: 'opened', reason: 'opened through VMware Tools' })
    return entered
  }
  const ask = () => throughTools({ at, family, account }, limited)
  const opened = await openNetworkDoor({ kind, host, family, account, job: at.job, throughTools: ask }, deps, limited)
  const entered = await proven(opened.channel, limited)
  note(search, { kind, address: host.address }, { outcome: 'opened', reason: opened.how })
  search.warnings.push(...opened.warnings)
  return entered
}

/** A login is not yet a way in: programs may not run, or their files not get through (the host's port, for VMware Tools). */
async function proven(channel: GuestChannel, cancel: Cancel): Promise<Entered> {
  try {
    return { channel, identity: await channel.whoAmI(cancel) }
  } catch (error) {
    await channel[Symbol.asyncDispose]()
    throw error
  }
}

/** @returns null when the account has no password */
async function throughTools(
  { at, family, account }: { readonly at: GuestAt; readonly family: GuestFamily; readonly account: GuestCredentials },
  cancel: Cancel,
): Promise<GuestChannel | null> {
  const { password, domain } = account
  const user = domain === null ? account.user : `${domain}\\${account.user}`
  const own = account.vix ?? (password === null ? null : { user, password })
  return own === null ? null : at.session.openGuest({ vm: at.vm.moref, family, ...own }, cancel)
}

function note(search: Search, { kind, address }: Place, what: Pick<ChannelAttempt, 'outcome' | 'reason'>): void {
  search.attempts.push({ channel: kind, address, ...what })
}
