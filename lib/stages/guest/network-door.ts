// One way into a guest over the network, and whom to trust there: keys and certificates that are pinned, seen first, or read
// through VMware Tools, which reach the guest without the network.

import { createHash } from 'node:crypto'
import { isoTime } from '../../base/clock.ts'
import { BackupError, hasCode } from '../../base/errors.ts'
import { type Cancel, isAbort } from '../../base/time-limit.ts'
import type { GuestFamily, GuestTrust, LearnedPins } from '../../model/guest.ts'
import type { Job } from '../../model/job.ts'
import type { GuestChannel, GuestCredentials, PinRule } from '../../ports/guest.ts'
import type { JobStore } from '../../ports/job-store.ts'
import type { StageDeps, StageLimits } from '../deps.ts'

export type Host = { readonly address: string; readonly port: number }

export type NetworkDoorRequest = {
  readonly kind: 'ssh' | 'winrm'
  readonly host: Host
  readonly family: GuestFamily
  readonly account: GuestCredentials
  readonly job: Pick<Job, 'vm' | 'policy'>
  /** Opens the other way in; null where the account cannot. */
  readonly throughTools: () => Promise<GuestChannel | null>
}

export type OpenedDoor = {
  readonly channel: GuestChannel
  /** How, for the record. */
  readonly how: string
  readonly warnings: readonly string[]
}

/** @throws BackupError as GuestNetwork does */
export async function openNetworkDoor(
  request: NetworkDoorRequest,
  deps: DoorDeps,
  cancel: Cancel,
): Promise<OpenedDoor> {
  const { kind, account, job } = request
  const given = kind === 'ssh' ? account.hostKeys : account.certificates
  const firstSeen = job.policy.guest.hostKey === 'first-seen'
  if (given.length > 0) return withRule(request, { pins: given, firstSeen: false }, { deps, cancel })
  const kept = await keptPins(request, { deps, cancel })
  if (kept.length > 0) return withKept(request, kept, { deps, cancel })
  const read = firstSeen ? [] : await readThroughTools(request, cancel)
  if (read.length > 0) {
    await keep(request, { pins: read, learned: 'vix' }, { deps, cancel })
    return withRule(request, { pins: read, firstSeen: false }, { deps, cancel })
  }
  const opened = await withRule(request, { pins: [], firstSeen }, { deps, cancel })
  await keep(request, { pins: [opened.seen], learned: 'first-seen' }, { deps, cancel })
  return { ...opened, warnings: [...opened.warnings, `${what(kind)} "${opened.seen}" was trusted as first seen`] }
}

/** What looking for a way into a guest acts through. */
export type DoorDeps = Pick<StageDeps, 'clock' | 'guests' | 'guestAccount'> & {
  readonly jobStore: Pick<JobStore, 'guests'>
  readonly limits: Pick<StageLimits, 'guestProbeMs' | 'guestOpenMs'>
}

type Call = { readonly deps: DoorDeps; readonly cancel: Cancel }
type Opened = OpenedDoor & { readonly seen: string }

/** A key that is not the one kept may be new: the guest itself is asked, where VMware Tools reach it. */
async function withKept(request: NetworkDoorRequest, kept: readonly string[], call: Call): Promise<OpenedDoor> {
  try {
    return await withRule(request, { pins: kept, firstSeen: false }, call)
  } catch (error) {
    if (!hasCode(error, 'guest-host-key-changed')) throw error
    const read = await readThroughTools(request, call.cancel)
    if (read.length === 0 || read.every((pin) => kept.includes(pin))) throw error
    const opened = await withRule(request, { pins: read, firstSeen: false }, call)
    await keep(request, { pins: read, learned: 'vix' }, call)
    const warning = `${what(request.kind)} of the guest changed to "${opened.seen}", as the guest itself says through VMware Tools`
    return { ...opened, warnings: [...opened.warnings, warning] }
  }
}

async function withRule(request: NetworkDoorRequest, rule: PinRule, { deps, cancel }: Call): Promise<Opened> {
  const { kind, host, family, account } = request
  const opened =
    kind === 'ssh'
      ? await deps.guests.openSsh({ ...host, credentials: account, family, rule }, cancel)
      : await deps.guests.openWinrm({ ...host, credentials: account, rule }, cancel)
  return { ...opened, how: `${what(kind)} "${opened.seen}"` }
}

function what(kind: 'ssh' | 'winrm'): string {
  return kind === 'ssh' ? 'host key' : 'certificate'
}

/** What was trusted as first seen counts only while the policy allows that. */
async function keptPins({ kind, job }: NetworkDoorRequest, { deps, cancel }: Call): Promise<readonly string[]> {
  const trust = (await deps.jobStore.guests.get(job.vm.vmId, cancel))?.value ?? null
  const learned = kind === 'ssh' ? trust?.hostKeys : trust?.certificates
  if (learned === null || learned === undefined) return []
  return learned.learned === 'first-seen' && job.policy.guest.hostKey === 'pinned' ? [] : learned.pins
}

/** OpenSSH's public host keys are readable to every account; WinRM's certificate lies where only Windows' own tools look. */
async function readThroughTools(request: NetworkDoorRequest, cancel: Cancel): Promise<readonly string[]> {
  if (request.kind !== 'ssh' || request.family !== 'linux') return []
  try {
    const channel = await request.throughTools()
    if (channel === null) return []
    await using tools = channel

    const { exitCode, stdout } = await tools.run(
      {
        program: '/bin/sh',
        args: ['-c', 'cat /etc/ssh/ssh_host_*_key.pub'],
        environment: {},
        workingDirectory: null,
        timeoutMs: 10_000,
        elevated: false,
      },
      cancel,
    )
    return exitCode === 0 ? fingerprintsOf(stdout) : []
  } catch (error) {
    // Whatever it was, the key stays unknown, and the error of the network's own way says so.
    if (error instanceof BackupError || isAbort(error)) return []
    throw error
  }
}

/** "ssh-ed25519 AAAA… comment" lines; the fingerprint is the SHA-256 of the key blob (OpenSSH, ssh-keygen -l). */
export function fingerprintsOf(publicKeys: string): readonly string[] {
  return publicKeys.split('\n').flatMap((line) => {
    const [type = '', blob = ''] = line.trim().split(/\s+/)
    if (!/^(ssh-|ecdsa-|sk-)/.test(type) || !/^[A-Za-z0-9+/]+=*$/.test(blob)) return []
    const digest = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64')
    return [`SHA256:${digest.replace(/=+$/, '')}`]
  })
}

/** Another job of this moment may have written the same VM's record: then its word stands. */
async function keep(
  { kind, job }: NetworkDoorRequest,
  { pins, learned }: Pick<LearnedPins, 'pins' | 'learned'>,
  { deps, cancel }: Call,
): Promise<void> {
  const { guests } = deps.jobStore
  const found = await guests.get(job.vm.vmId, cancel)
  const own: LearnedPins = { pins, learned, at: isoTime(deps.clock.nowMs()) }
  const before: GuestTrust = found?.value ?? { hostKeys: null, certificates: null }
  const value: GuestTrust = kind === 'ssh' ? { ...before, hostKeys: own } : { ...before, certificates: own }
  if (found === null) await guests.create(job.vm.vmId, value, cancel)
  else await guests.replace(job.vm.vmId, { value, version: found.version }, cancel)
}
