// Whether the verdict can fail: everything that it is there to find is done to a site, and must be found.

import type { Cancel } from '../../lib/base/time-limit.ts'
import type { Job } from '../../lib/model/job.ts'
import type { Site } from './site.ts'
import { jobStoreOf } from './state-of.ts'
import { judge } from './verdict.ts'

const FOUND: readonly (readonly [what: string, told: RegExp])[] = [
  ['a snapshot that was left', /^Snapshot "coldframe-.*" is left on /],
  ['a place that is held', /^"vm\/.*" is still held/],
  ['a message that was buried', /^\d+ messages are buried/],
  ['a damaged pack', /disk \d+ cannot be read/],
  ['a job that failed', /ended as failed/],
  ['a debt', /still owes/],
]

/** @returns what the verdict did not find; the site is of no use afterwards */
export async function unseenBy(site: Site, job: Job, cancel: Cancel): Promise<readonly string[]> {
  const { cloud, simulator, s3, bucket } = site
  const name = job.capture?.snapshotName ?? ''
  const url = new URL(`/machines/${job.vm.name}/snapshot`, simulator.started.controlUrl)
  await fetch(url, { method: 'POST', body: JSON.stringify({ name }), signal: cancel.signal })
  const resource = `vm/${job.vm.vmId}`
  const { resources } = jobStoreOf(cloud)
  const found = await resources.get(resource, cancel)
  const place = { holder: job.id, units: 1, untilMs: cloud.time.nowMs() + 60_000 }
  const value = { name: resource, places: [place], waiters: [] }
  await (found === null
    ? resources.create(resource, value, cancel)
    : resources.replace(resource, { value, version: found.version }, cancel))
  const buried = cloud.queues.byName('BuriedQueue')
  const expected = buried.messages.length
  cloud.queues.send(buried, 'nobody could read this')
  for (const [key, versions] of s3.buckets.get(bucket)?.objects ?? []) {
    const bytes = key.startsWith('p/') ? versions[0]?.bytes : undefined
    for (let offset = 16; bytes !== undefined && offset < bytes.byteLength; offset += 512)
      bytes[offset] = (bytes[offset] ?? 0) ^ 1
  }
  const outcome = { kind: 'failed', code: 'sabotage', message: 'It was made to fail', hint: null } as const
  const bad: Job = { ...job, outcome, owes: [{ kind: 'snapshot', name }] }
  const { faults } = await judge(site, { jobs: [bad], buried: expected }, cancel)
  return FOUND.flatMap(([what, told]) =>
    faults.some((fault) => told.test(fault)) ? [] : [`The verdict does not see ${what}`],
  )
}
