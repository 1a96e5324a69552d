// datastore.totalReadLatency.average of one host: how long reads from its datastores take now. Real-time counters of a host are
// kept whatever the statistics level of vCenter is (vSphere Web Services API, PerformanceManager: refresh rate 20 s).

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { ReadLatency } from '../../model/admission.ts'
import type { Moref } from '../../model/ids.ts'
import type { DatastoreState } from '../../model/site.ts'
import { readObject } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import {
  listAt,
  numberAt,
  parseWhole,
  type Ref,
  record,
  recordAt,
  recordsAt,
  recordsOf,
  ref,
  textAt,
  type VimRecord,
} from './values.ts'

const INTERVAL_S = 20
/** Of the last minute the newest value that there is: a busy host is late with its samples. */
const SAMPLES_MAX = 3

type Counter = { readonly id: number; readonly msPerUnit: number }

/** Counters of a server do not change while a session lives, and the list is long. */
const counters = new WeakMap<VimSession, Counter | null>()

/** Null for every datastore that the host does not count reads of: vSAN and vVols have no such counter. */
export async function readLatency(
  session: VimSession,
  { host, datastores }: { readonly host: Moref; readonly datastores: readonly DatastoreState[] },
  cancel: Cancel,
): Promise<readonly ReadLatency[]> {
  const unknown = datastores.map(({ name }) => ({ datastore: name, readMs: null }))
  const { perfManager } = session.content
  if (perfManager === null || datastores.length === 0) return unknown
  const counter = await counterOf(session, perfManager, cancel)
  if (counter === null) return unknown
  const volumes = datastores.flatMap(({ volume }) => (volume === null ? [] : [volume]))
  if (volumes.length === 0) return unknown
  const spec = record({
    entity: ref('HostSystem', host),
    maxSample: SAMPLES_MAX,
    metricId: volumes.map((instance) => record({ counterId: counter.id, instance })),
    intervalId: INTERVAL_S,
    format: 'normal',
  })
  const what = `Cannot ask the ESXi host "${host}" for the latency of its datastores`
  const call = { method: 'QueryPerf', target: perfManager, args: { querySpec: [spec] }, what }
  try {
    const asked = () => session.loggedIn(() => session.call(call, cancel), cancel)
    const reply = await retryReading(session.settings, asked, cancel)
    const series = recordsOf(reply ?? undefined).flatMap((each) => recordsAt(each, 'value'))
    const found = new Map(series.map((each) => newestOf(each, counter)))
    return datastores.map(({ name, volume }) => ({ datastore: name, readMs: found.get(volume ?? '') ?? null }))
  } catch (error) {
    // Such a host does not count this: that is all it says.
    if (error instanceof BackupError && NOT_COUNTED.has(String(error.facts?.['fault']))) return unknown
    throw error
  }
}

const NOT_COUNTED: ReadonlySet<string> = new Set(['InvalidArgument', 'NotSupported', 'MethodNotFound'])

async function counterOf(session: VimSession, from: Ref, cancel: Cancel): Promise<Counter | null> {
  const known = counters.get(session)
  if (known !== undefined) return known
  const asked = { ref: from, paths: ['perfCounter'], what: 'Cannot read the performance counters' }
  const values = await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)
  const found = recordsOf(values.get('perfCounter')).find(isReadLatency)
  const id = numberAt(found ?? null, 'key')
  const msPerUnit = MS_PER_UNIT.get(textAt(recordAt(found ?? null, 'unitInfo'), 'key') ?? '')
  const counter = id === null || msPerUnit === undefined ? null : { id, msPerUnit }
  counters.set(session, counter)
  return counter
}

const MS_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ['millisecond', 1],
  ['microsecond', 0.001],
])

function isReadLatency(counter: VimRecord): boolean {
  const keyOf = (name: string) => textAt(recordAt(counter, name), 'key')
  const isAverage = textAt(counter, 'rollupType') === 'average'
  return keyOf('groupInfo') === 'datastore' && keyOf('nameInfo') === 'totalReadLatency' && isAverage
}

/** A sample that a host could not take is -1. */
function newestOf(series: VimRecord, counter: Counter): readonly [string, number | null] {
  const instance = textAt(recordAt(series, 'id'), 'instance') ?? ''
  const samples = listAt(series, 'value').map((value) =>
    typeof value === 'number' ? value : parseWhole(String(value), 'value'),
  )
  const last = samples.findLast((value) => value >= 0)
  return [instance, last === undefined ? null : last * counter.msPerUnit]
}
