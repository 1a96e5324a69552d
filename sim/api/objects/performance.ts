// The performance manager's counters. A host counts the read latency of its datastores, and of the others listed nothing.

import { type Data, data, type Value } from '../../soap/value.ts'

/** datastore.totalReadLatency.average; ids differ from server to server. */
export const READ_LATENCY_COUNTER = 180

/** "group.name", unit, statistics type. All are averages. */
const COUNTERS = [
  { key: 2, group: 'cpu', name: 'usage', unit: 'percent', statsType: 'rate' },
  { key: 24, group: 'mem', name: 'usage', unit: 'percent', statsType: 'absolute' },
  { key: 178, group: 'datastore', name: 'numberReadAveraged', unit: 'number', statsType: 'rate' },
  {
    key: READ_LATENCY_COUNTER,
    group: 'datastore',
    name: 'totalReadLatency',
    unit: 'millisecond',
    statsType: 'absolute',
  },
  { key: 181, group: 'datastore', name: 'totalWriteLatency', unit: 'millisecond', statsType: 'absolute' },
] as const

export function isCounter(key: number): boolean {
  return COUNTERS.some((counter) => counter.key === key)
}

export function performanceProperties(): Readonly<Record<string, () => Value | null>> {
  return {
    description: () =>
      data('PerformanceDescription', {
        counterType: [element('average')],
        statsType: [element('absolute'), element('rate')],
      }),
    perfCounter: () =>
      COUNTERS.map(({ key, group, name, unit, statsType }) =>
        data('PerfCounterInfo', {
          key,
          nameInfo: element(name),
          groupInfo: element(group),
          unitInfo: element(unit),
          rollupType: 'average',
          statsType,
          level: 1,
          perDeviceLevel: 3,
        }),
      ),
  }
}

function element(key: string): Data {
  return data('ElementDescription', { label: key, summary: key, key })
}
