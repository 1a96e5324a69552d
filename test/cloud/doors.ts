// The ways a run starts in a site: a policy is applied as its role does it, its schedule fires as EventBridge Scheduler makes it fire, and
// vCenter raises an alarm that is pulled.

import { createHmac } from 'node:crypto'
import { schedulerSchedules } from '../../lib/adapters/aws/schedules.ts'
import { memoryLog } from '../../lib/adapters/memory/log.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import type { Cancel } from '../../lib/base/time-limit.ts'
import type { Run } from '../../lib/model/run.ts'
import { applyPolicies } from '../../lib/operate/policy-apply.ts'
import { parsePolicy } from '../../lib/wire/policy.ts'
import { openStore } from './kept-points.ts'
import type { Site } from './site.ts'
import { jobStoreOf } from './state-of.ts'
import { scheduleInput } from './target-input.ts'

/** What `coldframe policy apply` does in the account of the stack. */
export async function applyPolicy(site: Site, text: string, cancel: Cancel): Promise<void> {
  const { stack } = site.cloud
  const arnOf = (name: string) => String(stack.resolve({ 'Fn::GetAtt': [name, 'Arn'] }, name))
  const [group = ''] = stack.ofType('AWS::Scheduler::ScheduleGroup')
  const schedules = schedulerSchedules(
    {
      group: String(stack.resolve({ Ref: group }, group)),
      role: arnOf('ScheduleRole'),
      target: arnOf('ScheduleLambdaFunction'),
      deadLetters: arnOf('BuriedQueue'),
    },
    { ...site.scheduler.client, clock: systemClock, random: systemRandom },
  )
  await applyPolicies(
    { policies: [{ policy: parsePolicy(text, 'policy.yaml'), text }], prune: false, by: 'test' },
    { clock: systemClock, jobStore: jobStoreOf(site.cloud), schedules, scripts: openStore(site), log: memoryLog() },
    cancel,
  )
}

/** The one schedule that was made fires now, twice, as the scheduler may: the same time is told both times. */
export function fireSchedule({ cloud, scheduler }: Site): void {
  const [schedule, ...others] = scheduler.kept.values()
  if (schedule === undefined || others.length > 0)
    throw new Error(`There are ${scheduler.kept.size} schedules, not one`)
  const { Arn: arn, Input } = schedule.Target
  const input = scheduleInput(Input, { arn: schedule.Name, scheduledMs: cloud.time.nowMs() })
  for (let copy = 0; copy < 2; copy++) cloud.fire({ arn, input })
}

export async function raiseAlarm({ simulator }: Site, vm: string, name: string, { signal }: Cancel): Promise<void> {
  const url = new URL(`/machines/${vm}/raise-alarm`, simulator.started.controlUrl)
  const response = await fetch(url, { method: 'POST', body: JSON.stringify({ name }), signal })
  if (!response.ok) throw new Error(`The simulator refused an alarm: ${await response.text()}`)
}

/** A secret of the webhook's door for vCenter's alarm script, and the name it has in Secrets Manager. */
const WEBHOOK_KEY = 'a-key-of-the-door-0001'
export const WEBHOOK_SECRET = { 'coldframe/door/vcenter-script': JSON.stringify({ hmac: [WEBHOOK_KEY] }) }

/** As vCenter's alarm script tells it: signed, with a time stamp. @returns the status of the answer */
export async function postAlarm(
  { cloud }: Site,
  alarm: { readonly vm: string; readonly name: string; readonly key?: string },
  { signal }: Cancel,
): Promise<number> {
  const body = JSON.stringify({
    source: 'vcenter-script',
    alarmName: alarm.name,
    targetName: alarm.vm,
    from: 'Green',
    to: 'Red',
  })
  const timestamp = String(Math.floor(cloud.time.nowMs() / 1000))
  const signature = createHmac('sha256', alarm.key ?? WEBHOOK_KEY)
    .update(`${timestamp}.${body}`)
    .digest('hex')
  const response = await fetch(`${cloud.api.url}/alarms/vcenter-script`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-coldframe-timestamp': timestamp,
      'x-coldframe-signature': `v1=${signature}`,
    },
    body,
    signal,
  })
  await response.arrayBuffer()
  return response.status
}

/** Works until this door has started a run beyond those that are known. */
export async function nextRun({ cloud }: Site, door: Run['door'], known: readonly Run[], cancel: Cancel): Promise<Run> {
  const store = jobStoreOf(cloud)
  const found: Run[] = []
  const isThere = async () => {
    const runs = await store.recentRuns({ limit: 20 }, cancel)
    found.push(...runs.filter((run) => run.door === door && !known.some(({ id }) => id === run.id)))
    return found.length > 0
  }
  await cloud.run(isThere, { limitMs: 600_000 })
  const [run] = found
  if (run === undefined) throw new Error(`No run by ${door}`)
  return run
}
