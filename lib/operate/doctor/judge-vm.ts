// One VM judged by what was learned of it: can it be backed up as the policy says, and what stands in the way. Pure.

import { quote } from '../../base/errors.ts'
import { chooseAddresses } from '../../model/guest-address.ts'
import { type JobId, parseSnapshotName } from '../../model/ids.ts'
import type { Policy } from '../../model/policy.ts'
import { preflight } from '../../model/preflight.ts'
import { flattenSnapshots, type VmDisk, type VmSnapshot, type VmState } from '../../model/vm.ts'
import type { VmHistory } from '../../model/vm-history.ts'
import type { GuestCredentials } from '../../ports/guest.ts'
import { type Check, checkOf, failed, type Learned, ok, type Verdict, warning } from './check.ts'
import type { GuestProspects } from './predict.ts'

export type VmFacts = {
  readonly vm: VmState
  readonly history: VmHistory | null
  /** Jobs of this home: a snapshot that names one of them is ours. */
  readonly isOurJob: (job: JobId) => boolean
  readonly tasks: Learned<readonly { readonly name: string }[]>
}

/** The checks of a VM that need nothing but its own description. */
export function judgeVm(facts: VmFacts, policy: Policy): readonly Check[] {
  const { vm } = facts
  const about = `VM ${quote(vm.name)}`
  const check = (id: string, tried: string, verdict: Verdict) => checkOf({ id: `vm.${id}`, about, tried }, verdict)
  return [
    ...preflightVerdicts(vmWithoutOurs(facts), policy).map((verdict) =>
      check('state', 'judge it by the policy', verdict),
    ),
    check('snapshots', 'look for snapshots', snapshotsVerdict(facts)),
    check('consolidation', 'look whether its disks need consolidation', consolidationVerdict(vm)),
    check('tasks', 'look for running tasks', tasksVerdict(facts.tasks)),
    check('tracking', 'look at changed block tracking', trackingVerdict(facts)),
  ]
}

function preflightVerdicts(vm: VmState, policy: Policy): readonly Verdict[] {
  const { faults, notices, excludedDisks } = preflight(vm, policy)
  const verdicts = [
    ...faults.map(({ message, hint, code }) => ({ ...failed(message, hint ?? ''), code })),
    ...notices.map(({ message, hint, code }) => ({ ...warning(message, hint ?? ''), code })),
  ]
  if (verdicts.length > 0) return verdicts
  const read = vm.disks.length - excludedDisks.length
  const left = excludedDisks.length === 0 ? '' : `, ${excludedDisks.length} left out by the policy`
  return [ok(`${vm.powerState}, ${vm.connectionState}, ${read} ${read === 1 ? 'disk' : 'disks'} to read${left}`)]
}

function snapshotsVerdict(facts: VmFacts): Verdict {
  const { ours, foreign } = snapshotsOf(facts)
  if (ours.length + foreign.length === 0) return ok('none')
  if (foreign.length === 0) {
    return warning(
      `of ours: ${names(ours)}`,
      'Nothing: the job that made it, or the next backup of this VM, removes it',
    )
  }
  const unknown = foreign.filter(({ name }) => parseSnapshotName(name) !== null)
  const found = `of others: ${names(foreign)}${ours.length === 0 ? '' : `; of ours: ${names(ours)}`}`
  if (unknown.length > 0) {
    const next = `${names(unknown)} is named like ours, but no job of this COLDFRAME_HOME knows it, so it is not touched: remove it in vCenter if no other Coldframe works on this VM`
    return warning(found, next)
  }
  const next =
    'Remove what is not needed: it slows the VM, keeps changed block tracking from being turned on, and is read as a chain'
  return warning(found, next)
}

function consolidationVerdict({ consolidationNeeded }: VmState): Verdict {
  if (!consolidationNeeded) return ok('they do not')
  const next =
    'The next backup asks for it and waits; if it stays, look at the tasks of the VM in vCenter and at the space of its datastores'
  return warning('they do: a removed snapshot left files behind', next, 'disks that are consolidated')
}

function tasksVerdict(tasks: Learned<readonly { readonly name: string }[]>): Verdict {
  if (tasks.kind === 'unknown') return tasks.verdict
  if (tasks.value.length === 0) return ok('none')
  const found = tasks.value.map(({ name }) => quote(name)).join(', ')
  return warning(found, 'A backup waits until it has ended')
}

function trackingVerdict(facts: VmFacts): Verdict {
  const { vm, history } = facts
  const reset = history?.trackingReset ?? null
  if (reset !== null) {
    const next =
      'The next backup that finds no snapshot of others resets it; until then whole disks are read and compared'
    return warning(`to be reset since ${reset.since}: ${reset.reason}`, next)
  }
  const { held, never } = heldDisks(vm)
  const disks = `${held}${never === '' ? '' : `; never for ${never}, which no snapshot holds`}`
  if (vm.changeTrackingEnabled) return ok(`on for ${disks}`)
  if (vm.changeTrackingSupported === false) {
    const next = 'Upgrade its virtual hardware; until then each backup reads whole disks and stores what changed'
    return warning('off: its virtual hardware cannot track changed blocks', next, 'hardware version 7 or later')
  }
  if (snapshotsOf(facts).foreign.length > 0) {
    const next = 'Remove the snapshots; until then each backup reads whole disks and stores what changed'
    return warning('off, and it cannot be turned on while snapshots of others exist', next)
  }
  return ok(`off: the first backup turns it on, by a snapshot that is made and removed, for ${disks}`)
}

/** Labels of the disks that snapshots hold, and of those that they never do. */
function heldDisks({ disks }: VmState): { readonly held: string; readonly never: string } {
  const isHeld = ({ mode, backing, sharing }: VmDisk) => mode === 'persistent' && backing !== 'rdm-physical' && !sharing
  const labels = (some: readonly VmDisk[]) => some.map(({ label }) => label).join(', ')
  const held = disks.filter(isHeld)
  return { held: labels(held) || 'no disk', never: labels(disks.filter((disk) => !isHeld(disk))) }
}

/** Ours: of a job that this home knows; everything else is foreign. */
function snapshotsOf({ vm, isOurJob }: Pick<VmFacts, 'vm' | 'isOurJob'>) {
  const isOurs = ({ name }: VmSnapshot) => {
    const parsed = parseSnapshotName(name)
    return parsed !== null && isOurJob(parsed.job)
  }
  const all = flattenSnapshots(vm.snapshots)
  return { ours: all.filter(isOurs), foreign: all.filter((snapshot) => !isOurs(snapshot)) }
}

/** The VM as a backup will find it once our own snapshots are removed. */
export function vmWithoutOurs(facts: Pick<VmFacts, 'vm' | 'isOurJob'>): VmState {
  const { ours, foreign } = snapshotsOf(facts)
  const { vm } = facts
  if (ours.length === 0) return vm
  const disks = foreign.length === 0 ? vm.disks.map(onItsBase) : vm.disks
  return { ...vm, disks, snapshots: foreign.map((snapshot) => ({ ...snapshot, children: [] })) }
}

function onItsBase(disk: VmDisk): VmDisk {
  return { ...disk, fileName: disk.parents.at(-1) ?? disk.fileName, parents: [] }
}

/** What is known of an account that the policy names; null: it names none. */
export type GuestAccount = { readonly name: string; readonly credentials: Learned<GuestCredentials> } | null

/** Whether scripts would get into the guest, without entering it. */
export function guestVerdict(
  vm: VmState,
  policy: Policy,
  account: GuestAccount,
): { readonly verdict: Verdict; readonly prospects: GuestProspects } {
  const { guest } = policy
  const none = (why: string, verdict: Verdict) => ({ verdict, prospects: { kind: 'none', why } as const })
  if (guest.mode === 'off') return none('guest processing is off', ok('guest processing is off: no guest is entered'))
  const { family } = vm.guest
  if (vm.powerState !== 'poweredOn') return none('the VM is off', ok(`${vm.powerState}: no guest is entered`))
  if (family !== 'linux' && family !== 'windows') {
    const why = 'the guest is neither Linux nor Windows, as far as vCenter knows'
    return none(why, refusedBy(policy, why, 'Install VMware Tools, or set the guest operating system of the VM'))
  }
  if (Object.keys(policy.scripts[family]).length === 0)
    return none('no scripts', ok(`the policy has no scripts for ${family}: no guest is entered`))
  if (account === null) {
    const why = 'the policy names no credentials'
    return none(why, refusedBy(policy, why, 'Name a secret in guest.credentials'))
  }
  if (account.credentials.kind === 'unknown') {
    const { found, next } = account.credentials.verdict
    return none(found, refusedBy(policy, found, next ?? ''))
  }
  const ways = guest.order.map((way) => wayInto(vm, way, { policy, credentials: account.credentials }))
  const found = ways.map(({ words }) => words).join('; ')
  if (ways.some(({ isOpen }) => isOpen)) {
    return { verdict: ok(`${found} (nobody has logged in yet)`), prospects: { kind: 'likely' } }
  }
  const next = 'Let VMware Tools run in the guest, or give it an address that the policy allows'
  return none(found, refusedBy(policy, found, next))
}

function refusedBy({ guest }: Policy, found: string, next: string): Verdict {
  return guest.mode === 'require'
    ? failed(found, next, 'a way into the guest')
    : warning(found, next, 'a way into the guest')
}

function wayInto(
  { guest }: VmState,
  way: Policy['guest']['order'][number],
  { policy, credentials }: { readonly policy: Policy; readonly credentials: Learned<GuestCredentials> },
): { readonly isOpen: boolean; readonly words: string } {
  if (way === 'network') {
    const { addresses } = chooseAddresses(guest, policy.guest.subnets)
    if (addresses.length === 0)
      return { isOpen: false, words: 'network: VMware Tools report no address that may be used' }
    return { isOpen: true, words: `network: ${addresses.map(({ address }) => address).join(', ')}` }
  }
  if (!guest.toolsRunning) return { isOpen: false, words: 'vix: VMware Tools do not run' }
  if (guest.operationsReady === false) return { isOpen: false, words: 'vix: guest operations are not ready' }
  const known = credentials.kind === 'known' ? credentials.value : null
  if (known !== null && known.vix === null && known.password === null)
    return { isOpen: false, words: 'vix: the account has no password' }
  return { isOpen: true, words: 'vix: VMware Tools run' }
}

function names(snapshots: readonly VmSnapshot[]): string {
  return snapshots.map(({ name }) => quote(name)).join(', ')
}
