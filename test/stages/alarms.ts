// Alarms and policies for the tests of what alarms do.

import { isoTime } from '../../lib/base/clock.ts'
import type { Alarm } from '../../lib/model/alarm.ts'
import { alarmIdOf, parsePolicyName } from '../../lib/model/ids.ts'
import type { AlarmRule, Policy } from '../../lib/model/policy.ts'
import { sampleAlarm, sampleStoredPolicy } from '../kit/record-samples.ts'
import { cancel, policyWith, type World } from './world.ts'

/** A policy of all VMs that lets every alarm whose name begins with "Ransom" start a backup; 20 runs a day, 30 minutes a VM. */
export function alarmPolicy(
  change: { readonly name?: string; readonly rules?: readonly AlarmRule[]; readonly budgetPerDay?: number } & Partial<
    Pick<Policy, 'select' | 'schedule'>
  > = {},
): Policy {
  const { name = 'gold', rules = [{ alarm: 'Ransom*', action: 'backup' }], budgetPerDay = 20, ...rest } = change
  return policyWith({
    select: { any: [{ name: '*' }], all: [], none: [] },
    ...rest,
    name: parsePolicyName(name),
    alarms: { rules, debounceMs: 30 * 60_000, budgetPerDay },
  })
}

export async function applyPolicy(world: Pick<World, 'jobStore'>, policy: Policy): Promise<void> {
  await world.jobStore.policies.create(policy.name, sampleStoredPolicy({ name: policy.name, policy }), cancel)
}

/** An alarm about the VM of that name, as it comes in now; `key` tells it from others. */
export function alarmAbout(
  world: Pick<World, 'clock'>,
  name: string,
  change: Partial<Alarm> & { readonly key?: string } = {},
): Alarm {
  const { key = name, ...rest } = change
  return {
    ...sampleAlarm().alarm,
    id: alarmIdOf({ source: 'vcf-operations', key }),
    vcenterId: null,
    target: { moref: null, instanceUuid: null, name, kind: 'VirtualMachine' },
    receivedAt: isoTime(world.clock.nowMs()),
    ...rest,
  }
}

/** Writes the record and sends its message, as a door does. */
export async function tellAlarm(
  world: Pick<World, 'clock' | 'jobStore' | 'queue'>,
  alarm: Alarm,
): Promise<Alarm['id']> {
  const record = { alarm, decision: null, wakeAtMs: world.clock.nowMs() + 60_000 }
  await world.jobStore.alarms.create(alarm.id, record, cancel)
  await world.queue.send({ v: 1, kind: 'alarm', alarmId: alarm.id }, { delayMs: 0 }, cancel)
  return alarm.id
}

export async function decisionOf(world: Pick<World, 'jobStore'>, id: Alarm['id']) {
  return (await world.jobStore.alarms.get(id, cancel))?.value.decision ?? null
}
