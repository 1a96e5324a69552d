// Backups of a site's VMs without a door: a run is written and plan is woken, as every door does it.

import { systemClock } from '../../lib/base/clock.ts'
import type { Cancel } from '../../lib/base/time-limit.ts'
import { requestRun } from '../../lib/doors/request-run.ts'
import type { RunId } from '../../lib/model/ids.ts'
import type { Job } from '../../lib/model/job.ts'
import { parsePolicy } from '../../lib/wire/policy.ts'
import type { Site } from './site.ts'
import { jobStoreOf, senderOf } from './state-of.ts'

const HOUR_MS = 3_600_000

export const PLAIN_POLICY = `name: plain
select: {any: [{name: "*"}]}
consistency: {want: crash, require: crash}
guest: {mode: off}
transport: [datastore]
`

export type Wish = { readonly key: string; readonly vms: readonly string[] | null; readonly policyText?: string }

export function startRun(
  { cloud }: Site,
  { key, vms, policyText = PLAIN_POLICY }: Wish,
  cancel: Cancel,
): Promise<RunId> {
  const policy = parsePolicy(policyText, 'test')
  const deps = { clock: systemClock, jobStore: jobStoreOf(cloud), sender: senderOf(cloud) }
  return requestRun({ door: 'api', policy, vms, key }, deps, cancel)
}

/** Works until every job of these runs is done. @param options.limitMs of the cloud's time */
export async function untilDone(
  { cloud }: Site,
  runs: readonly RunId[],
  { limitMs = 24 * HOUR_MS }: { readonly limitMs?: number },
  cancel: Cancel,
): Promise<readonly Job[]> {
  const store = jobStoreOf(cloud)
  const jobs: Job[] = []
  const areDone = async (): Promise<boolean> => {
    jobs.length = 0
    for (const id of runs) {
      const run = (await store.runs.get(id, cancel))?.value
      if (run === undefined || run.state === 'requested') return false
      jobs.push(...(await store.jobsOfRun(id, cancel)))
    }
    return jobs.every(({ state }) => state === 'done')
  }
  try {
    await cloud.run(areDone, { limitMs })
  } catch (error) {
    const told = jobs.map(({ vm, state, nextStage, round, outcome, waitsFor }) =>
      JSON.stringify({ vm: vm.name, state, nextStage, round, outcome, waitsFor }),
    )
    throw new Error(`Runs did not end: ${told.join('; ')}`, { cause: error })
  }
  return jobs
}
