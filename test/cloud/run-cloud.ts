// One run of the cloud on this machine: the stack is packaged and deployed, goes through its scenario and then through troubles.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cancel } from '../../lib/base/time-limit.ts'
import { GUEST_SECRET, guestPlace } from '../../local/demo-guests.ts'
import { API_PARAMETERS } from './api-client.ts'
import { WEBHOOK_SECRET } from './doors.ts'
import { faultPlan } from './fault-plan.ts'
import { carryOut, type FaultResult } from './fault-runs.ts'
import { makeRepository } from './kept-points.ts'
import { unseenBy } from './sabotage.ts'
import { RESTORE_BUCKET, type ScenarioResult, wholeStory } from './scenario.ts'
import { openSite, type Site } from './site.ts'
import { jobStoreOf } from './state-of.ts'
import { type CloudSummary, noSummary, summaryWith } from './summary.ts'
import { type PackagedStack, packageInto } from './template.ts'
import { installVirtualTime } from './virtual-time.ts'

export type CloudRun = {
  /** `short`: small VMs and few troubles, for every run of the tests. */
  readonly extent: 'short' | 'usual' | 'all'
  readonly seed: number
  /** Troubles by name; null: all of the extent, and the scenario. */
  readonly only: readonly string[] | null
  /** Whether the folder with stack and logs stays. */
  readonly keep: boolean
  readonly say: (text: string) => void
}

export type CloudResult = {
  readonly faults: readonly string[]
  readonly summary: CloudSummary
  readonly troubles: readonly FaultResult[]
}

const MiB = 1024 * 1024

/** Replaces this process's clock: nothing else should go on in it. */
export async function runCloud(run: CloudRun, cancel: Cancel): Promise<CloudResult> {
  const time = installVirtualTime()
  const root = join(import.meta.dirname, '..', '..')
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-cloud-'))
  const { say, only } = run
  try {
    const packaged = await packageInto(join(folder, 'stack'), root)
    say(`Packaged: ${Object.keys(packaged.template.Resources).length} resources`)
    const around = { packaged, time, run, folder }
    const first = only === null ? await scenario(around, cancel) : null
    const second = await troubles(around, cancel)
    const faults = [...(first?.faults ?? []), ...second.faults]
    const summary = [...(first === null ? [] : [first.summary]), second.summary].reduce(summaryWith, noSummary)
    return { faults, summary, troubles: second.results }
  } finally {
    if (run.keep) say(`Stack and logs: ${folder}`)
    else await rm(folder, { recursive: true, force: true })
  }
}

type Around = {
  readonly packaged: PackagedStack
  readonly time: ReturnType<typeof installVirtualTime>
  readonly run: CloudRun
  readonly folder: string
}

type Ended = { readonly faults: readonly string[]; readonly summary: CloudSummary }

async function scenario({ packaged, time, run, folder }: Around, cancel: Cancel): Promise<Ended> {
  const isShort = run.extent === 'short'
  await using guests = await guestPlace()
  const simulator = isShort
    ? ['--estate', 'small', '--guest-write-every-ms', '50']
    : ['--estate', 'demo', '--guest-write-every-ms', '50', '--guest-programs', guests.folder]
  await using site = await openSite(
    {
      ...{ packaged, time, folder: join(folder, 'scenario'), simulator },
      parameters: { ...API_PARAMETERS, RestoreTargets: `s3://${RESTORE_BUCKET}/restored/` },
      secrets: { 'coldframe/guest/demo-guests': GUEST_SECRET, ...WEBHOOK_SECRET },
    },
    cancel,
  )
  run.say(`Deployed: ${site.cloud.functions.size} functions, ${site.cloud.sources.length} event sources`)
  site.s3.addBucket(RESTORE_BUCKET)
  const result = await wholeStory(
    site,
    { say: run.say, guests: !isShort, burstBytes: isShort ? MiB / 2 : 6 * MiB },
    cancel,
  )
  sayDisks(result, run.say)
  return { faults: result.faults, summary: summaryOf(site, result.disks.length, result.faults) }
}

function sayDisks({ disks, faults }: ScenarioResult, say: (text: string) => void): void {
  const equal = disks.filter(({ fault }) => fault === null)
  const bytes = equal.reduce((sum, disk) => sum + disk.bytes, 0)
  say(
    `  ${equal.length} of ${disks.length} disks read from the bucket are what was frozen, ${Math.round(bytes / MiB)} MiB`,
  )
  for (const fault of faults) say(`  FAULT ${fault}`)
}

async function troubles({ packaged, time, run, folder }: Around, cancel: Cancel) {
  const { extent, only, seed, say } = run
  const plan = faultPlan(extent).filter(({ name }) => only === null || only.includes(name))
  if (plan.length === 0) throw new Error(`There is no trouble of these names: ${only?.join(', ')}`)
  await using site = await openSite(
    {
      ...{ packaged, time, folder: join(folder, 'troubles') },
      simulator: ['--estate', 'small', '--guest-write-every-ms', '50'],
    },
    cancel,
  )
  await makeRepository(site, cancel)
  const results: FaultResult[] = []
  for (const [index, one] of plan.entries()) {
    const buried = site.cloud.queues.byName('BuriedQueue').messages.length
    const result = await carryOut(site, one, { seed: seed + index, key: `${seed} ${one.name}`, buried }, cancel)
    const { name, did, faults, elapsedMs, cloudMs } = result
    say(
      `  ${faults.length === 0 ? 'whole ' : 'FAULTY'} ${name}: ${did} (${(elapsedMs / 1000).toFixed(1)} s, ${Math.round(cloudMs / 1000)} s of the cloud's)`,
    )
    for (const fault of faults) say(`    FAULT ${fault}`)
    results.push(result)
  }
  const faults = results.flatMap(({ name, faults: own }) =>
    own.map((fault) => `${fault} (npm run test:cloud -- --seed ${seed} --only ${name})`),
  )
  const [job] = await jobStoreOf(site.cloud).recentJobs({ limit: 1 }, cancel)
  const unseen = job === undefined ? ['No job is left to be judged'] : await unseenBy(site, job, cancel)
  say(
    unseen.length === 0
      ? '  whole  verdict: it sees everything that it is there for'
      : `  FAULTY verdict: ${unseen.join('; ')}`,
  )
  faults.push(...unseen)
  const disks = results.reduce((sum, result) => sum + result.disks, 0)
  return { results, faults, summary: summaryOf(site, disks, faults) }
}

function summaryOf(site: Site, disks: number, faults: readonly string[]): CloudSummary {
  const { functions, sources, proxy, time } = site.cloud
  const descriptions = [...functions.values()]
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  return {
    invocations: Object.fromEntries(
      descriptions.map(({ description, counts }) => [description.name, counts.invocations]),
    ),
    coldStarts: sum(descriptions.map(({ counts }) => counts.coldStarts)),
    deaths: sum(descriptions.map(({ counts }) => counts.deaths)),
    messages: sum(sources.map(({ counts }) => counts.messages)),
    duplicates: sum(sources.map(({ counts }) => counts.duplicates)),
    calls: sum([...proxy.counts.values()]),
    struck: Object.fromEntries(proxy.fates),
    ...{ tasks: site.tasks.started, tasksKilled: site.tasks.killed, requests: site.cloud.api.counts.requests },
    ...{ disks, isEqual: faults.length === 0, aheadMs: time.aheadMs() },
  }
}
