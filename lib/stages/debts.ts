// What a job owes: written into its record before it is made, struck out after it is given back.

import type { Cancel } from '../base/time-limit.ts'
import type { Debt, Job } from '../model/job.ts'
import type { JobHold } from './hold.ts'

/** Records a debt; the same debt twice is one. */
export async function owe(hold: JobHold, debt: Debt, cancel: Cancel): Promise<void> {
  if (hold.job().owes.some((other) => isSameDebt(other, debt))) return
  await hold.update((job) => ({ ...job, owes: [...job.owes, debt] }), cancel)
}

/** Strikes out a debt that is given back; one that is not owed is no error. */
export async function pay(hold: JobHold, debt: Debt, cancel: Cancel): Promise<void> {
  if (!hold.job().owes.some((other) => isSameDebt(other, debt))) return
  await hold.update((job) => withoutDebt(job, debt), cancel)
}

/** Strikes out a debt and changes what follows from it, in one write. */
export async function settle(
  hold: JobHold,
  { debt, change }: { readonly debt: Debt; readonly change: (job: Job) => Job },
  cancel: Cancel,
): Promise<void> {
  await hold.update((job) => change(withoutDebt(job, debt)), cancel)
}

/** Adds what became known of a debt, for example the task that a mover runs in. */
export async function amend(hold: JobHold, debt: Debt, cancel: Cancel): Promise<void> {
  await hold.update((job) => ({ ...job, owes: [...withoutDebt(job, debt).owes, debt] }), cancel)
}

function withoutDebt(job: Job, debt: Debt): Job {
  return { ...job, owes: job.owes.filter((other) => !isSameDebt(other, debt)) }
}

function isSameDebt(left: Debt, right: Debt): boolean {
  if (left.kind === 'place' && right.kind === 'place') return left.resource === right.resource
  if (left.kind === 'snapshot' && right.kind === 'snapshot') return left.name === right.name
  if (left.kind === 'guest' && right.kind === 'guest') return left.token === right.token
  if (left.kind === 'hot-disk' && right.kind === 'hot-disk') return left.moverVm === right.moverVm
  if (left.kind === 'annotation' && right.kind === 'annotation') return left.attempt === right.attempt
  return left.kind === 'mover' && right.kind === 'mover' && left.clientToken === right.clientToken
}
