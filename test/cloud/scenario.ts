// What a user does with a new stack: a repository, scripts, a policy, a full backup, changes in the guests, an incremental one. Every disk
// of every point is then read from the bucket and compared with what the simulator froze.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Cancel } from '../../lib/base/time-limit.ts'
import type { Job } from '../../lib/model/job.ts'
import { policyText, storeScripts } from '../../local/demo-guests.ts'
import { PLAIN_POLICY, startRun, untilDone } from './backups.ts'
import { isAtRest } from './fault-runs.ts'
import { type ComparedDisk, makeRepository, openStore } from './kept-points.ts'
import type { Site } from './site.ts'
import { judge, type Verdict } from './verdict.ts'

export type Told = { readonly say: (text: string) => void }

export type ScenarioResult = Verdict & { readonly jobs: readonly Job[] }

/** @param options.guests whether scripts of the demo freeze the guests, through VMware Tools */
export async function fullAndIncremental(
  site: Site,
  options: Told & { readonly guests: boolean; readonly burstBytes: number; readonly vms: readonly string[] | null },
  cancel: Cancel,
): Promise<ScenarioResult> {
  const { say, guests, vms } = options
  await makeRepository(site, cancel)
  const policy = guests ? policyText(await storeScriptsIn(site, cancel)) : PLAIN_POLICY
  const jobs: Job[] = []
  for (const key of ['full', 'incremental']) {
    const id = await startRun(site, { key, vms, policyText: policy }, cancel)
    const done = await untilDone(site, [id], {}, cancel)
    say(`  ${key}: ${done.map((job) => `${job.vm.name} ${job.outcome?.kind}`).join(', ')}`)
    jobs.push(...done)
    await site.simulator.letGuestsWrite(options.burstBytes, cancel)
  }
  await site.cloud.run(() => isAtRest(site), { limitMs: 3_600_000 })
  const verdict = await judge(site, { jobs, buried: 0 }, cancel)
  return { jobs, ...verdict, faults: [...verdict.faults, ...incrementalFaults(verdict.disks)] }
}

/** The second run must have read less than everything. */
function incrementalFaults(disks: readonly ComparedDisk[]): readonly string[] {
  const modes = disks.filter(({ sequence }) => sequence > 1).map(({ readMode }) => readMode)
  return modes.includes('incremental') ? [] : [`No disk was read as an incremental, but ${modes.join(', ')}`]
}

function storeScriptsIn(site: Site, cancel: Cancel) {
  return storeScripts(site.folder, async (file) => {
    const bytes = await readFile(file)
    const key = `scripts/${basename(file)}`
    await openStore(site).putIfAbsent({ key, bytes }, cancel)
    return { key, sha256: createHash('sha256').update(bytes).digest('hex') }
  })
}
