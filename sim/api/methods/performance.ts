// Performance counters, real time alone: samples of the last hour, one every 20 seconds. History is not simulated.

import { SimFault } from '../../machine/types.ts'
import { type Data, data, listAt, numberAt, optionalNumberAt, optionalTextAt, refAt, textAt } from '../../soap/value.ts'
import { invalidArgument, notFound } from '../faults.ts'
import { findObject } from '../find-object.ts'
import type { Call, Front, Handler } from '../front.ts'
import { isCounter, READ_LATENCY_COUNTER } from '../objects/performance.ts'
import { volumeId } from '../objects/storage.ts'
import type { DatastoreEntity, HostEntity } from '../world.ts'

const INTERVAL_S = 20
const SAMPLES_MAX = 180

export const performanceMethods: Readonly<Record<string, Handler>> = {
  QueryPerf: (call) => listAt(call.args, 'querySpec').map((spec) => metricOf(call, spec)),
  QueryPerfProviderSummary: (call) => {
    const entity = refAt(call.args, 'entity')
    if (findObject(call.front, entity, call.session) === null) throw notFound(entity)
    const isHost = entity.type === 'HostSystem'
    return data('PerfProviderSummary', {
      entity,
      currentSupported: isHost,
      summarySupported: false,
      refreshRate: isHost ? INTERVAL_S : null,
    })
  },
}

/** A host that does not answer has no samples: neither times nor series. */
function metricOf({ front, session }: Call, spec: Data): Data {
  const entity = refAt(spec, 'entity')
  if (findObject(front, entity, session) === null) throw notFound(entity)
  const host = front.world.find(entity.id)
  if (host?.kind !== 'host') throw invalidArgument('querySpec.entity')
  if ((optionalNumberAt(spec, 'intervalId') ?? INTERVAL_S) !== INTERVAL_S) throw invalidArgument('querySpec.intervalId')
  if ((optionalTextAt(spec, 'format') ?? 'normal') !== 'normal') {
    throw new SimFault('NotSupported', 'Only the format "normal" is simulated')
  }
  const asked = listAt(spec, 'metricId')
  if (asked.some((id) => !isCounter(numberAt(id, 'counterId')))) throw invalidArgument('querySpec.metricId')
  if (front.settings.hostsAway.includes(host.name)) return data('PerfEntityMetric', { entity })
  const samples = Math.max(0, Math.min(optionalNumberAt(spec, 'maxSample') ?? SAMPLES_MAX, SAMPLES_MAX))
  const value = datastoresOf(front, host).flatMap((each) => seriesOf(each, { asked, samples }))
  return data('PerfEntityMetric', { entity, sampleInfo: sampleTimes(front, samples), value })
}

type Asked = { readonly asked: readonly Data[]; readonly samples: number }

/** None for what is not asked, and for a datastore whose reads the host does not count, as with vSAN. */
function seriesOf({ datastore }: DatastoreEntity, { asked, samples }: Asked): readonly Data[] {
  const instance = volumeId(datastore.name)
  const isAsked = (id: Data) =>
    numberAt(id, 'counterId') === READ_LATENCY_COUNTER && ['*', instance].includes(textAt(id, 'instance'))
  const { readLatency: latency } = datastore
  if (latency === null || datastore.type === 'vsan' || !(asked.length === 0 || asked.some(isAsked))) return []
  const id = data('PerfMetricId', { counterId: READ_LATENCY_COUNTER, instance })
  const taken = Math.max(0, samples - latency.missed)
  const value = Array.from({ length: samples }, (_, index) => (index < taken ? latency.readMs : -1))
  return [data('PerfMetricIntSeries', { id, value })]
}

/** Oldest first; the newest is of the last full 20 seconds. */
function sampleTimes(front: Front, samples: number): readonly Data[] {
  const stepMs = INTERVAL_S * 1000
  const newestMs = Math.floor((front.clock.nowMs() + front.settings.clockOffsetMs) / stepMs) * stepMs
  return Array.from({ length: samples }, (_, index) =>
    data('PerfSampleInfo', { timestamp: new Date(newestMs - (samples - 1 - index) * stepMs), interval: INTERVAL_S }),
  )
}

function datastoresOf(front: Front, host: HostEntity): readonly DatastoreEntity[] {
  const datacenter = front.world.datacenterOf(host)
  return front.world
    .entities()
    .filter((each) => each.kind === 'datastore')
    .filter((each) => front.world.datacenterOf(each) === datacenter)
}
