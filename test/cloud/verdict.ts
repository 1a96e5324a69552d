// What must be true of a site once nothing is at work in it: of every job, point, snapshot, place and queue.

import type { Cancel } from '../../lib/base/time-limit.ts'
import { defaultAdmissionLimits, wishesFor } from '../../lib/model/admission.ts'
import { parseSnapshotName } from '../../lib/model/ids.ts'
import type { Job } from '../../lib/model/job.ts'
import { moversResource } from '../../lib/stages/places.ts'
import { type ComparedDisk, compareSome } from './kept-points.ts'
import type { Site } from './site.ts'
import { jobStoreOf } from './state-of.ts'

export type Verdict = {
  /** What is not as it must be. */
  readonly faults: readonly string[]
  readonly disks: readonly ComparedDisk[]
}

export type Judging = {
  /** Jobs that must have succeeded; points of theirs are restored and compared. */
  readonly jobs: readonly Job[]
  /** How many messages must lie where people look for what nobody could handle. */
  readonly buried: number
}

export async function judge(site: Site, { jobs, buried }: Judging, cancel: Cancel): Promise<Verdict> {
  const names = jobs.flatMap(({ capture }) => (capture === null ? [] : [capture.snapshotName]))
  const disks = await compareSome(site, (name) => names.includes(name), cancel)
  const faults = [
    ...jobs.flatMap(jobFaults),
    ...jobs
      .filter((job) => !disks.some(({ vm }) => vm === job.vm.name))
      .map((job) => `VM "${job.vm.name}" has no point`),
    ...disks.flatMap(({ vm, sequence, deviceKey, fault }) =>
      fault === null ? [] : [`${vm}@${sequence} disk ${deviceKey} ${fault}`],
    ),
    ...(await machineFaults(site, cancel)),
    ...(await placeFaults(site, jobs, cancel)),
    ...queueFaults(site, buried),
    ...site.cloud.proxy.strays.map((stray) => `A call to what is not there: ${stray}`),
    ...site.cloud.targets.elsewhere.map((arn) => `An event went to "${arn}", which nobody follows`),
    ...(site.cloud.invoker.counts.lost === 0
      ? []
      : [`${site.cloud.invoker.counts.lost} asynchronous invocations failed and went nowhere`]),
  ]
  return { faults, disks }
}

function jobFaults(job: Job): readonly string[] {
  const { vm, outcome, state, claim, owes, pointId } = job
  const about = `Job of "${vm.name}"`
  const isGood = outcome?.kind === 'success' || outcome?.kind === 'warning'
  return [
    ...(state === 'done' ? [] : [`${about} is ${state}`]),
    ...(isGood ? [] : [`${about} ended as ${outcome?.kind} ${outcome?.code}: ${outcome?.message}`]),
    ...(isGood && pointId === null ? [`${about} succeeded without a point`] : []),
    ...(claim === null ? [] : [`${about} is still claimed`]),
    ...owes.map((debt) => `${about} still owes ${JSON.stringify(debt)}`),
  ]
}

type MachineReport = {
  readonly name: string
  readonly consolidationNeeded: boolean
  readonly snapshots: readonly { readonly name: string }[]
}

async function machineFaults({ simulator }: Site, { signal }: Cancel): Promise<readonly string[]> {
  const response = await fetch(new URL('/machines', simulator.started.controlUrl), { signal })
  const machines = (await response.json()) as readonly MachineReport[]
  return machines.flatMap(({ name, consolidationNeeded, snapshots }) => [
    ...snapshots
      .filter((one) => parseSnapshotName(one.name) !== null)
      .map((one) => `Snapshot "${one.name}" is left on "${name}"`),
    ...(consolidationNeeded ? [`"${name}" needs consolidation`] : []),
  ])
}

async function placeFaults({ cloud }: Site, jobs: readonly Job[], cancel: Cancel): Promise<readonly string[]> {
  const wishes = jobs.flatMap(({ footing, grant }) =>
    footing === null || grant === null ? [] : wishesFor(footing, grant, defaultAdmissionLimits),
  )
  const names = new Set([
    moversResource,
    ...jobs.map(({ vm }) => `vm/${vm.vmId}`),
    ...wishes.map(({ resource }) => resource),
  ])
  const store = jobStoreOf(cloud)
  const faults: string[] = []
  for (const name of names) {
    const found = await store.resources.get(name, cancel)
    const held = [...(found?.value.places ?? []), ...(found?.value.waiters ?? [])]
    if (held.length > 0) faults.push(`"${name}" is still held: ${JSON.stringify(held)}`)
  }
  return faults
}

function queueFaults({ cloud }: Site, buried: number): readonly string[] {
  const fed = new Set(cloud.sources.map(({ queue }) => queue.name))
  return cloud.queues.all().flatMap((queue) => {
    const count = queue.messages.length + queue.delayedMessages.length + queue.inflightMessages.size
    const expected = fed.has(queue.name) ? null : buried
    if (expected === null || count === expected) return []
    const bodies = queue.messages.map(({ body }) => body).join(' ')
    return [`${count} messages are buried in "${queue.name}", ${expected} were expected: ${bodies.slice(0, 2000)}`]
  })
}
