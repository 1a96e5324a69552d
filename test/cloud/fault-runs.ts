// Backups of a small VM, one after another, each in another trouble; after each everything must be whole.

import { seededRandom } from '../../lib/base/random.ts'
import type { Cancel } from '../../lib/base/time-limit.ts'
import { startRun, untilDone } from './backups.ts'
import type { Site } from './site.ts'
import { calmDown, type Trouble } from './troubles.ts'
import { judge } from './verdict.ts'

export type FaultRun = {
  readonly name: string
  readonly trouble: Trouble
  /** Whether messages that wait for their next delivery are waited for; else they come while later backups are at work. */
  readonly toTheEnd: boolean
  /** Messages that it leaves where people look, besides those that lie there. */
  readonly buries?: (site: Site) => number
}

export type FaultResult = {
  readonly name: string
  /** What happened, in words. */
  readonly did: string
  readonly faults: readonly string[]
  readonly disks: number
  readonly elapsedMs: number
  readonly cloudMs: number
}

const FAULT_VM = 'app-01'
/** Of the cloud's time: the longest that one backup may be held up, which dead letters decide. */
const LIMIT_MS = 36 * 3_600_000

/** @param options.seed with the run's name it decides all chance */
export async function carryOut(
  site: Site,
  run: FaultRun,
  options: { readonly seed: number; readonly key: string; readonly buried: number },
  cancel: Cancel,
): Promise<FaultResult> {
  const { name, trouble, buries, toTheEnd } = run
  const { cloud, simulator } = site
  const [startedMs, cloudStartedMs] = [performance.now(), cloud.time.nowMs()]
  calmDown(site)
  await simulator.letGuestsWrite(200_000, cancel)
  const did = trouble(site, seededRandom(options.seed))
  const buried = options.buried + (buries?.(site) ?? 0)
  const faults: string[] = []
  let disks = 0
  try {
    const id = await startRun(site, { key: options.key, vms: [FAULT_VM] }, cancel)
    const jobs = await untilDone(site, [id], { limitMs: LIMIT_MS }, cancel)
    const isOver = () => (toTheEnd ? isAtRest(site) : isQuiet(site))
    await cloud.run(isOver, { limitMs: LIMIT_MS })
    calmDown(site)
    const verdict = await judge(site, { jobs, buried }, cancel)
    faults.push(...verdict.faults)
    disks = verdict.disks.length
    if (jobs.length !== 1) faults.push(`The run has ${jobs.length} jobs`)
  } catch (error) {
    faults.push(
      String(error instanceof Error && error.cause !== undefined ? `${error.message}: ${String(error.cause)}` : error),
    )
  }
  return {
    ...{ name, did: did(), faults, disks },
    elapsedMs: Math.round(performance.now() - startedMs),
    cloudMs: Math.round(cloud.time.nowMs() - cloudStartedMs),
  }
}

/** Nothing is at work now. */
function isQuiet({ cloud, ecs }: Site): boolean {
  return (
    cloud.sources.every(({ running }) => running === 0) &&
    ecs.tasks().every(({ lastStatus }) => lastStatus === 'STOPPED')
  )
}

/** Nor is any message there, or a copy of one to come. */
export function isAtRest(site: Site): boolean {
  const isEmpty = site.cloud.sources.every(
    (source) =>
      source.nextMs() === Number.POSITIVE_INFINITY &&
      source.queue.messages.length + source.queue.delayedMessages.length + source.queue.inflightMessages.size === 0,
  )
  return isEmpty && isQuiet(site)
}
