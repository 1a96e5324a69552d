// What a user does with a new stack: a repository, scripts, a policy with a schedule and a rule for alarms. The schedule starts a full and,
// after changes in the guests, an incremental backup, an alarm of vCenter another one. Every disk of every point is then read from the
// bucket and compared with what the simulator froze.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Cancel } from '../../lib/base/time-limit.ts'
import { programPath } from '../../lib/compose/programs.ts'
import type { Job } from '../../lib/model/job.ts'
import type { Run } from '../../lib/model/run.ts'
import { runColdframe } from '../../local/coldframe.ts'
import { policyText, storeScripts } from '../../local/demo-guests.ts'
import { TEST_ENVIRONMENT } from '../kit/aws/identity.ts'
import { refusalFaults, startByApi, untilDoneByApi } from './api-client.ts'
import { PLAIN_POLICY, untilDone } from './backups.ts'
import { applyPolicy, fireSchedule, nextRun, postAlarm, raiseAlarm } from './doors.ts'
import { isAtRest } from './fault-runs.ts'
import { type ComparedDisk, openStore } from './kept-points.ts'
import type { Site } from './site.ts'
import { jobStoreOf } from './state-of.ts'
import { judge, type Verdict } from './verdict.ts'

export type Told = { readonly say: (text: string) => void }

export type ScenarioResult = Verdict & { readonly jobs: readonly Job[] }

export type ScenarioOptions = Told & {
  /** Whether scripts freeze the guests, through VMware Tools. */
  readonly guests: boolean
  readonly burstBytes: number
}

/** Alarms of this name start a backup, and mark points that come after it. */
const ALARM = 'Ransomware suspected'
const ALARMED_VM = 'db-01'
/** Where restores of the stack may write. */
export const RESTORE_BUCKET = 'restored-images'

const DOORS = `schedule: {cron: "0 22 * * *", timeZone: Europe/Berlin}
alarms: {rules: [{alarm: "*ransom*", action: backup+quarantine}]}
`

export async function wholeStory(site: Site, options: ScenarioOptions, cancel: Cancel): Promise<ScenarioResult> {
  const { say, guests } = options
  await initRepository(site, cancel)
  const text = guests ? policyText(await storeScriptsIn(site, cancel)) : PLAIN_POLICY.replace('"*"', `"${ALARMED_VM}"`)
  await applyPolicy(site, `${text}${DOORS}`, cancel)
  const jobs: Job[] = []
  const runs: Run[] = []
  const follow = async (door: Run['door'], what: string) => {
    const run = await nextRun(site, door, runs, cancel)
    const done = await untilDone(site, [run.id], {}, cancel)
    say(`  ${what}: ${done.map((job) => `${job.vm.name} ${job.outcome?.kind}`).join(', ')}`)
    runs.push(run)
    jobs.push(...done)
    await site.simulator.letGuestsWrite(options.burstBytes, cancel)
  }
  const refusals = [...(await refusalFaults(site, cancel))]
  await startByApi(site, '/v1/runs', { policy: guests ? 'demo' : 'plain' }, cancel)
  await follow('api', 'full backup by the API')
  fireSchedule(site)
  await follow('schedule', 'incremental backup by a schedule')
  const forged = await postAlarm(site, { vm: ALARMED_VM, name: ALARM, key: 'a-key-of-nobody-at-all' }, cancel)
  const told = await postAlarm(site, { vm: ALARMED_VM, name: ALARM }, cancel)
  await follow('alarm', `backup by an alarm that came in by HTTP (${told})`)
  if (guests) {
    await untilPulled(site)
    await raiseAlarm(site, 'web-01', ALARM, cancel)
    await follow('alarm', "backup by an alarm of vCenter's event log")
  }
  if (forged !== 401) refusals.push(`An alarm with a forged signature is answered with ${forged}`)
  const restored = await restoreByApi(site, `${ALARMED_VM}@2`, jobs, cancel)
  say(
    `  restore of ${ALARMED_VM}@2 by the API: ${restored.length === 0 ? 'every image is what was frozen' : restored.join('; ')}`,
  )
  await site.cloud.run(() => isAtRest(site), { limitMs: 3_600_000 })
  const known = await jobStoreOf(site.cloud).recentRuns({ limit: 100 }, cancel)
  const doubled = known.length === runs.length ? [] : [`${known.length} runs were started, not ${runs.length}`]
  const verdict = await judge(site, { jobs, buried: 0 }, cancel)
  return {
    jobs,
    ...verdict,
    faults: [...refusals, ...restored, ...verdict.faults, ...doubled, ...incrementalFaults(verdict.disks)],
  }
}

/** The first pull only notes where vCenter's log ends: what was before is history. */
async function untilPulled({ cloud }: Site): Promise<void> {
  const { counts } = cloud.function('pull')
  const before = counts.invocations
  await cloud.run(() => counts.invocations > before + 1, { limitMs: 300_000 })
}

/** Images that a task of the stack writes into another bucket, against what the simulator froze. @returns what is wrong */
async function restoreByApi(
  site: Site,
  point: string,
  jobs: readonly Job[],
  cancel: Cancel,
): Promise<readonly string[]> {
  const target = `s3://${RESTORE_BUCKET}/restored/`
  const id = await startByApi(site, '/v1/restores', { point, target }, cancel)
  const ended = await untilDoneByApi(site, `/v1/restores/${id}`, cancel)
  const outcome = JSON.stringify(ended['outcome'])
  if (!outcome.includes('"kind":"success"')) return [`The restore ended as ${outcome}`]
  const names = jobs.flatMap(({ vm, capture }) =>
    vm.name === ALARMED_VM && capture !== null ? [capture.snapshotName] : [],
  )
  const frozen = (await site.simulator.frozen(cancel)).find(({ snapshot }) => snapshot === names[1])
  const images = [...(site.s3.buckets.get(RESTORE_BUCKET)?.objects.values() ?? [])].map(([newest]) =>
    createHash('sha256')
      .update(newest?.bytes ?? '')
      .digest('hex'),
  )
  const expected = frozen?.disks.map(({ sha256 }) => sha256) ?? []
  const isSame = expected.length > 0 && images.toSorted().join() === expected.toSorted().join()
  return isSame
    ? []
    : [`${images.length} images were restored; they are not the ${expected.length} disks that were frozen`]
}

/** By the command line, as a user makes it: a passphrase opens it, and the stack's key. */
async function initRepository(site: Site, cancel: Cancel): Promise<void> {
  await runColdframe(
    {
      program: programPath('cli'),
      args: ['init', '--kms-key', site.kmsKey],
      environment: {
        ...TEST_ENVIRONMENT,
        COLDFRAME_HOME: join(site.folder, 'home'),
        COLDFRAME_REPOSITORY: `s3:${site.bucket}`,
        COLDFRAME_PASSPHRASE: 'for the day that the key is lost',
        AWS_ENDPOINT_URL_S3: site.s3.endpoint,
        AWS_ENDPOINT_URL_KMS: site.kms.endpoint,
      },
      quiet: true,
    },
    cancel,
  )
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
