// Giving back by hand what jobs that are done left on one VM: snapshots, places, movers. Only what our own records prove to be ours.

import { BackupError } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Debt, Job } from '../model/job.ts'
import type { VmSummary } from '../model/vm.ts'
import { type HuntFinding, hunt } from './hunt.ts'
import type { HuntDeps } from './hunt-mend.ts'
import { givePlaceBack, vmResource } from './places.ts'
import { mayBeRead } from './snapshots.ts'

export type VmRelease = {
  readonly vm: Pick<VmSummary, 'moref' | 'vmId' | 'name'>
  /** Snapshots and disks; null where there is nothing of ours and nothing to mend. */
  readonly finding: HuntFinding | null
  /** What jobs that are done still owed, and what became of it: null, given back; else why not. */
  readonly debts: readonly { readonly job: string; readonly debt: Debt; readonly kept: string | null }[]
}

type Call = { readonly deps: HuntDeps; readonly cancel: Cancel }
type Wish = { readonly vm: VmSummary; readonly dryRun: boolean }

/** How far back jobs are looked through. */
const JOBS_MAX = 10_000

/** @throws BackupError `job-live` (kind refused) while a job of this VM is not done */
export async function releaseVm({ vm, dryRun }: Wish, { deps, cancel }: Call): Promise<VmRelease> {
  const jobs = (await deps.jobStore.recentJobs({ limit: JOBS_MAX }, cancel)).filter((job) => job.vm.vmId === vm.vmId)
  const live = jobs.find(({ state }) => state !== 'done')
  if (live !== undefined) throw stillLive(live)
  const { moref, vmId, name } = vm
  const { findings, unread } = await hunt({ dryRun, vms: [moref], keepsWindows: false }, deps, cancel)
  const [failure] = unread
  if (failure !== undefined)
    throw new BackupError(`Cannot look at VM "${name}": ${failure.reason}`, { code: 'vm-unreadable', retry: 'later' })
  const finding = findings[0] ?? null
  const debts: { job: string; debt: Debt; kept: string | null }[] = []
  for (const job of jobs) debts.push(...(await settle(job, { finding, dryRun }, { deps, cancel })))
  if (!dryRun) await freeVm(jobs, vm, { deps, cancel })
  return { vm: { moref, vmId, name }, finding, debts }
}

type Settling = { readonly finding: HuntFinding | null; readonly dryRun: boolean }

/** Strikes out of a job's record what is given back. */
async function settle(job: Job, { finding, dryRun }: Settling, { deps, cancel }: Call) {
  if (job.owes.length === 0) return []
  const readable = await mayBeRead(job, deps, cancel)
  const told: { job: string; debt: Debt; kept: string | null }[] = []
  for (const debt of job.owes) {
    const kept = dryRun ? 'only looked at' : whyKept(debt, { readable, finding })
    if (kept === null && debt.kind === 'place')
      await givePlaceBack({ resource: debt.resource, holder: job.id }, deps, cancel)
    told.push({ job: job.id, debt, kept })
  }
  const owes = told.flatMap(({ debt, kept }) => (kept === null ? [] : [debt]))
  const found = await deps.jobStore.jobs.get(job.id, cancel)
  if (!dryRun && found !== null && owes.length < job.owes.length)
    await deps.jobStore.jobs.replace(job.id, { value: { ...found.value, owes }, version: found.version }, cancel)
  return told
}

function whyKept(debt: Debt, now: { readonly readable: boolean; readonly finding: HuntFinding | null }): string | null {
  const { readable, finding } = now
  switch (debt.kind) {
    case 'place':
      return null
    case 'mover':
      return readable ? 'its hold has not lapsed: it may still read' : null
    case 'snapshot': {
      const isLeft = finding !== null && finding.outcome !== 'mended' && finding.snapshots.includes(debt.name)
      if (isLeft) return finding.reason ?? 'it is still there'
      return readable ? 'a mover may still read it' : null
    }
    default:
      return 'only a job can give it back'
  }
}

/** The VM's place and its line, of jobs that are done and say nothing of it any more. */
async function freeVm(jobs: readonly Job[], vm: Pick<VmSummary, 'vmId'>, { deps, cancel }: Call): Promise<void> {
  const name = vmResource(vm.vmId)
  const found = await deps.jobStore.resources.get(name, cancel)
  for (const { holder } of [...(found?.value.places ?? []), ...(found?.value.waiters ?? [])])
    if (jobs.some(({ id }) => id === holder)) await givePlaceBack({ resource: name, holder }, deps, cancel)
}

function stillLive({ id, state, vm }: Job): BackupError {
  return new BackupError(`Cannot release VM "${vm.name}": job ${id} is at work on it ("${state}")`, {
    code: 'job-live',
    kind: 'refused',
    hint: 'Wait for it; "coldframe resume" goes on with a job that was interrupted, and gives back what it owes',
    facts: { job: id, state },
  })
}
