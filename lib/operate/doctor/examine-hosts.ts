// The ESXi hosts that the chosen VMs run on: their state, and whether this machine reaches their ports.

import { quote } from '../../base/errors.ts'
import type { Moref } from '../../model/ids.ts'
import type { Policy } from '../../model/policy.ts'
import { type Feature, featuresOf } from '../../model/privileges.ts'
import type { DatastoreState, HostState } from '../../model/site.ts'
import { hostPortsOf } from '../../model/transport-ports.ts'
import { type Check, checkOf, learn, type Topic } from './check.ts'
import { ask, type Call, type Patient, type Patients } from './deps.ts'
import { hostAbout, hostPortVerdict, hostVerdict, type Lack, latencyVerdict } from './judge-site.ts'

/** Each host once. What it lacks, all its VMs lack. */
export async function examineHosts(
  known: readonly Patient[],
  { session, policy }: Patients,
  call: Call,
): Promise<readonly Check[]> {
  const byHost = Map.groupBy(known, ({ facts }) => facts.vm.host)
  const examined = await Promise.all(
    [...byHost].map(async ([moref, patients]) => {
      if (moref === null) return noHost(patients)
      const host = await ask((within) => session.readHost(moref, within), call)
      const about = host.kind === 'known' ? hostAbout(host.value) : hostAbout({ name: nameOf(patients, moref) })
      const state = checkOf({ id: 'host.state', about, tried: 'look at its state' }, hostVerdict(host))
      if (host.kind === 'unknown') return [state]
      const stores = storesOf(patients)
      const [ports, latencies] = await Promise.all([
        examinePorts(host.value, policy, call),
        ask((within) => session.readLatency({ host: moref, datastores: stores }, within), call),
      ])
      const latency = checkOf(
        { id: 'host.latency', about, tried: 'look how long reads from its datastores take' },
        latencyVerdict(latencies, call.deps.admission),
      )
      const lacks = [...ports.flatMap((port) => port.lacks), ...maintenanceLacks(host.value)]
      for (const patient of patients) patient.lacks.push(...lacks)
      return [state, latency, ...ports.map(({ check }) => check)]
    }),
  )
  return examined.flat()
}

/** The datastores of these VMs, each once. */
function storesOf(patients: readonly Patient[]): readonly DatastoreState[] {
  const all = patients.flatMap(({ datastores }) => (datastores.kind === 'known' ? datastores.value : []))
  return [...new Map(all.map((store) => [store.moref, store])).values()]
}

/** VDDK refuses network reads from such a host (VDDK Programming Guide, "NFC Session Limits"). */
function maintenanceLacks({ name, maintenance }: HostState): readonly Lack[] {
  const words = `${hostAbout({ name })} is in maintenance mode`
  return maintenance
    ? [
        { feature: 'nbdssl', words },
        { feature: 'nbd', words },
      ]
    : []
}

function nameOf([first]: readonly Patient[], moref: Moref): string {
  return first?.summary.host ?? moref
}

function noHost(patients: readonly Patient[]): readonly Check[] {
  return patients.map(({ summary }) =>
    checkOf(
      { id: 'host.state', about: `VM ${quote(summary.name)}`, tried: 'find its host' },
      { state: 'warning', found: 'vCenter names none', next: 'Look at the VM in vCenter' },
    ),
  )
}

type PortLook = { readonly check: Check; readonly lacks: readonly Lack[] }

/** A name that is not known is one check, and closes every port. */
async function examinePorts({ name }: HostState, policy: Policy, { deps, cancel }: Call): Promise<readonly PortLook[]> {
  const { clock, limits, probe } = deps
  const within = { clock, limitMs: limits.lookMs, ...cancel }
  const about = hostAbout({ name })
  const wanted = portsOf(policy, deps.nfcPort)
  if (wanted.size === 0) return []
  const addresses = await learn((each) => probe.resolve(name, each), within)
  if (addresses.kind === 'unknown') {
    const ways = [...new Set([...wanted.values()].flat())]
    const topic: Topic = { id: 'host.name', about, tried: `find an address of ${quote(name)}` }
    const { verdict, lacks } = hostPortVerdict(addresses, { ways, policy, place: quote(name) })
    return [{ check: checkOf(topic, verdict), lacks }]
  }
  return await Promise.all(
    [...wanted].map(async ([port, ways]) => {
      const connected = await learn((each) => probe.connect({ host: name, port }, each), within)
      const topic: Topic = { id: 'host.port', about, tried: `connect to TCP port ${port}` }
      const { verdict, lacks } = hostPortVerdict(connected, { ways, policy, place: `"${name}:${port}"` })
      return { check: checkOf(topic, verdict), lacks }
    }),
  )
}

/** Port -> what needs it. */
function portsOf(policy: Policy, nfcPort: number | null): ReadonlyMap<number, readonly Feature[]> {
  const wanted = new Map<number, readonly Feature[]>()
  for (const feature of featuresOf(policy)) {
    for (const port of hostPortsOf(feature, nfcPort)) wanted.set(port, [...(wanted.get(port) ?? []), feature])
  }
  return wanted
}
