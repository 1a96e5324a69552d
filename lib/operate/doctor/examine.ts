// The chosen VMs, and the hosts and datastores that they stand on: asked of vCenter and the network, then judged.

import { forEachBounded } from '../../base/concurrency.ts'
import { quote } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { type JobId, type Moref, parseSnapshotName } from '../../model/ids.ts'
import type { Job } from '../../model/job.ts'
import type { Policy, TransportName } from '../../model/policy.ts'
import { policyForVm } from '../../model/policy-for-vm.ts'
import { type Feature, featuresOf, PRIVILEGE_NEEDS, type PrivilegeNeed } from '../../model/privileges.ts'
import type { DatastoreState } from '../../model/site.ts'
import { flattenSnapshots, type VmState, type VmSummary } from '../../model/vm.ts'
import type { JobStore } from '../../ports/job-store.ts'
import type { PrivilegeQuestion } from '../../ports/vsphere.ts'
import { type Check, checkOf, type Topic } from './check.ts'
import { ask, type Call, type DoctorDeps, type Patient, type Patients } from './deps.ts'
import { examineHosts } from './examine-hosts.ts'
import { examineMover } from './examine-mover.ts'
import { examineRoot } from './examine-root.ts'
import { datastoreVerdict, judgeRights } from './judge-site.ts'
import { type GuestAccount, guestVerdict, judgeVm, type VmFacts, vmWithoutOurs } from './judge-vm.ts'
import type { PastRead } from './predict.ts'
import { predictionOf, type VmReport } from './vm-report.ts'

export async function examineVms(
  patients: Patients,
  deps: DoctorDeps,
  cancel: Cancel,
): Promise<{ readonly checks: readonly Check[]; readonly vms: readonly VmReport[] }> {
  const jobs = (await deps.jobStore?.recentJobs({ limit: JOBS_MAX }, cancel)) ?? []
  const found = new Map<Moref, Patient | Check>()
  await forEachBounded(
    patients.vms,
    async (summary, within) => void found.set(summary.moref, await look(summary, { patients, deps, jobs }, within)),
    { runningMax: deps.limits.runningMax, ...cancel },
  )
  const all = patients.vms.flatMap(({ moref }) => found.get(moref) ?? [])
  const known = all.filter((one) => 'facts' in one)
  const hosts = await examineHosts(known, patients, { deps, cancel })
  const datastores = await examineDatastores(known, patients, { deps, cancel })
  const root = await examineRoot(known, patients, { deps, cancel })
  const mover = await examineMover(known, patients, { deps, cancel })
  const lacksHere = await patients.lacksHere
  for (const { lacks } of known) lacks.push(...lacksHere)
  const finished = new Map<Patient, Finished>()
  await forEachBounded(
    known,
    async (one, within) => void finished.set(one, await finish(one, patients, { deps, cancel: within })),
    { runningMax: deps.limits.runningMax, ...cancel },
  )
  const vmChecks = all.flatMap((one) =>
    'facts' in one ? [...one.checks, ...(finished.get(one)?.checks ?? [])] : [one],
  )
  const reports = known.flatMap((one) => finished.get(one)?.report ?? [])
  return { checks: [...root, ...hosts, ...datastores, ...mover, ...vmChecks], vms: reports }
}

type Finished = { readonly checks: readonly Check[]; readonly report: VmReport }

const JOBS_MAX = 5_000

type Looking = { readonly patients: Patients; readonly deps: DoctorDeps; readonly jobs: readonly Job[] }

/** @returns the one check that says why nothing is known of it */
async function look(summary: VmSummary, { patients, deps, jobs }: Looking, cancel: Cancel): Promise<Patient | Check> {
  const { session } = patients
  const call = { deps, cancel }
  const { moref } = summary
  const policy = policyForVm(patients.policy, summary)
  const [state, datastores, tasks] = await Promise.all([
    ask((within) => session.readVm(moref, within), call),
    ask((within) => session.readDatastores(moref, within), call),
    ask((within) => session.runningTasks(moref, within), call),
  ])
  const about = `VM ${quote(summary.name)}`
  if (state.kind === 'unknown') return checkOf({ id: 'vm.state', about, tried: 'read it' }, state.verdict)
  const vm = state.value
  const history = (await deps.jobStore?.vms.get(vm.vmId, cancel))?.value ?? null
  const ours = await ourJobs(vm, deps.jobStore, cancel)
  const facts: VmFacts = { vm, history, tasks, isOurJob: (job) => ours.has(job) }
  const needs = needsAt('vm', featuresOfVm(vm, policy))
  const rights = await rightsOn({ entity: { kind: 'vm', moref }, needs, policy, where: about }, patients, call)
  const checks = [...judgeVm(facts, policy), checkOf(rightsTopic('vm.privileges', about), rights.verdict)]
  return { summary, policy, facts, datastores, past: pastReads(jobs, vm), checks, lacks: [...rights.lacks] }
}

async function ourJobs(vm: VmState, jobStore: JobStore | null, cancel: Cancel): Promise<ReadonlySet<JobId>> {
  const ours = new Set<JobId>()
  for (const { name } of flattenSnapshots(vm.snapshots)) {
    const parsed = parseSnapshotName(name)
    if (parsed === null || jobStore === null) continue
    if ((await jobStore.jobs.get(parsed.job, cancel)) !== null) ours.add(parsed.job)
  }
  return ours
}

/** Newest first. */
function pastReads(jobs: readonly Job[], { vmId }: VmState): readonly PastRead[] {
  return jobs.flatMap(({ vm, pointId, counts, times: { capturedAt, transferredAt } }) => {
    if (vm.vmId !== vmId || pointId === null || capturedAt === null || transferredAt === null) return []
    return [{ readBytes: counts.readBytes, elapsedMs: Date.parse(transferredAt) - Date.parse(capturedAt) }]
  })
}

const vddk: ReadonlySet<TransportName> = new Set(['nbdssl', 'nbd', 'san', 'hotadd'])

function featuresOfVm({ disks }: VmState, policy: Policy): readonly Feature[] {
  const isEncrypted = disks.some(({ encrypted }) => encrypted) && policy.transport.some((name) => vddk.has(name))
  return [...featuresOf(policy), ...(isEncrypted ? (['encrypted'] as const) : [])]
}

/** Of each feature its own: who lacks a privilege lacks it for all of them. */
function needsAt(place: PrivilegeNeed['place'], features: readonly Feature[]): readonly PrivilegeNeed[] {
  return PRIVILEGE_NEEDS.filter((need) => need.place === place && features.includes(need.feature))
}

function rightsTopic(id: string, about: string): Topic {
  return { id, about, tried: 'ask for the privileges of the account' }
}

type RightsQuestion = {
  readonly entity: PrivilegeQuestion['entity']
  readonly needs: readonly PrivilegeNeed[]
  readonly policy: Policy
  readonly where: string
}

async function rightsOn({ entity, needs, policy, where }: RightsQuestion, { session }: Patients, call: Call) {
  const ids = [...new Set(needs.map(({ id }) => id))]
  const missing = await ask((within) => session.missingPrivileges({ entity, ids }, within), call)
  return judgeRights(missing, { needs, policy, where })
}

/** Each datastore once, whoever stands on it; what it lacks, all of them lack. */
async function examineDatastores(known: readonly Patient[], patients: Patients, call: Call): Promise<readonly Check[]> {
  const stores = new Map<Moref, DatastoreState>()
  for (const { datastores } of known) {
    for (const store of datastores.kind === 'known' ? datastores.value : []) stores.set(store.moref, store)
  }
  const { policy } = patients
  const needs = needsAt('datastore', featuresOf(policy))
  const asked = await Promise.all(
    [...stores.values()].map(async (store) => {
      const about = `datastore ${quote(store.name)}`
      const rights = await rightsOn(
        { entity: { kind: 'datastore', moref: store.moref }, needs, policy, where: about },
        patients,
        call,
      )
      const state = checkOf(
        { id: 'datastore.state', about, tried: 'look at its space' },
        datastoreVerdict(store, call.deps.admission),
      )
      return { store, rights, checks: [state, checkOf(rightsTopic('datastore.privileges', about), rights.verdict)] }
    }),
  )
  for (const { datastores, lacks, checks, summary } of known) {
    if (datastores.kind === 'unknown') {
      const topic = { id: 'datastore.state', about: `VM ${quote(summary.name)}`, tried: 'look at its datastores' }
      checks.push(checkOf(topic, datastores.verdict))
      continue
    }
    for (const { store, rights } of asked)
      if (datastores.value.some(({ moref }) => moref === store.moref)) lacks.push(...rights.lacks)
  }
  return asked.flatMap(({ checks }) => checks)
}

/** Guest and predictions, once all is known that stands in the way. */
async function finish(patient: Patient, { session }: Patients, call: Call): Promise<Finished> {
  const { deps } = call
  const { policy, facts, summary } = patient
  const { vm } = facts
  const about = `VM ${quote(summary.name)}`
  const account = await accountOf(policy, call)
  const { verdict, prospects } = guestVerdict(vm, policy, account)
  const checks: Check[] = [checkOf({ id: 'vm.guest', about, tried: 'look for a way into its guest' }, verdict)]
  const { enterGuest } = deps
  if (enterGuest !== null && prospects.kind === 'likely') {
    const entered = await ask((within) => enterGuest({ session, vm, policy }, within), call)
    checks.push(...entryChecks(about, policy, entered))
  }
  const prediction = predictionOf({ ...patient, vm: vmWithoutOurs(facts), prospects, about }, deps.transports)
  return { checks: [...checks, ...prediction.checks], report: prediction.report }
}

async function accountOf({ guest }: Policy, call: Call): Promise<GuestAccount> {
  const { credentials: name } = guest
  if (name === null || guest.mode === 'off') return null
  return { name, credentials: await ask((within) => call.deps.guestAccount(name, within), call) }
}

function entryChecks(
  about: string,
  policy: Policy,
  entered: Awaited<ReturnType<typeof ask<Awaited<ReturnType<NonNullable<DoctorDeps['enterGuest']>>>>>>,
): readonly Check[] {
  const topic: Topic = { id: 'vm.guest-login', about, tried: 'log in to its guest' }
  if (entered.kind === 'unknown') return [checkOf(topic, entered.verdict)]
  const isOpen = entered.value.some(({ outcome }) => outcome === 'opened')
  const found = entered.value
    .map(
      ({ channel, address, outcome, reason }) =>
        `${channel}${address === null ? '' : ` to ${address}`}: ${outcome}, ${reason}`,
    )
    .join('; ')
  const next = 'docs/GUESTS.md says what each way needs'
  const state = isOpen ? 'ok' : policy.guest.mode === 'require' ? 'failed' : 'warning'
  return [checkOf(topic, { state, found, ...(isOpen ? {} : { next }) })]
}
