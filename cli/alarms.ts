// coldframe alarms: which alarms came in, newest first, and what was decided about each.

import type { AlarmRecord } from '../lib/model/alarm.ts'
import type { Answer } from './answer.ts'
import { openRecordsIfThere } from './context.ts'
import { readSettings } from './settings.ts'
import { printable, shortTime, table } from './terminal.ts'
import type { World } from './world.ts'

export async function alarms({ limit }: { readonly limit: number }, world: World): Promise<Answer> {
  const settings = await readSettings(world, [])
  using local = await openRecordsIfThere(settings, world)

  const records = local === null ? [] : await local.jobStore.recentAlarms({ limit }, world)
  return { data: { alarms: records }, text: records.length === 0 ? 'No alarms yet\n' : textOf(records), fault: null }
}

function textOf(records: readonly AlarmRecord[]): string {
  const columns = ['RECEIVED (UTC)', 'ALARM', 'STATE', 'ABOUT', 'DECISION', 'WHY'].map((title) => ({
    title,
    align: 'left' as const,
  }))
  const rows = records.map(({ alarm, decision }) => [
    shortTime(alarm.receivedAt),
    printable(alarm.alarmName).slice(0, 60),
    alarm.to === null ? alarm.state : printable(alarm.to),
    printable(alarm.target.name ?? alarm.target.moref ?? alarm.target.instanceUuid ?? '-'),
    decision === null ? 'waits' : decision.kind === 'acted' ? (decision.action ?? 'acted') : decision.kind,
    decision === null ? '' : printable(`${decision.code}: ${decision.message}`),
  ])
  return table(columns, rows)
}
