// What happens to a machine behind the back of whoever backs it up: tracking that lies, moves, power loss, work of others.

import { seededRandom } from '../../lib/base/random.ts'
import { changeUuid } from '../machine/change-tracking.ts'
import type { Datastore } from '../machine/datastore.ts'
import type { Machine } from '../machine/machine.ts'
import { SimFault } from '../machine/types.ts'
import type { Estate } from './estate.ts'
import type { JsonObject } from './json.ts'

export const LIE_ACTIONS = [
  ...(['change-tracking', 'fill-datastore', 'hold-consolidation', 'list-late', 'power-loss'] as const),
  ...(['others-read', 'raise-alarm', 'read-latency', 'relocate', 'task', 'end-tasks', 'write'] as const),
] as const

type LieAction = (typeof LIE_ACTIONS)[number]

export const LIE_ACTION_KEYS: Readonly<Record<LieAction, readonly string[]>> = {
  'change-tracking': ['enabled', 'lie', 'share', 'seed', 'by', 'deviceKey'],
  'fill-datastore': ['datastore', 'freeBytes'],
  'hold-consolidation': ['ms', 'deaf'],
  'list-late': ['ms'],
  'power-loss': [],
  'others-read': ['connections', 'bufferBytes'],
  'raise-alarm': ['name', 'from', 'to', 'times'],
  'read-latency': ['datastore', 'readMs', 'missed'],
  relocate: ['host', 'datastore', 'changeTracking'],
  task: ['name', 'ms'],
  'end-tasks': [],
  write: ['bytes'],
}

const COLOURS = ['gray', 'green', 'yellow', 'red'] as const
const LONGEST_MS = 3_600_000
const TRACKING_LIES = ['forget', 'rewind', 'exaggerate', 'other-uuid', 'no-change-id'] as const

/**
 * change-tracking {enabled}, or {lie, deviceKey?} for every disk or one of them: "forget" {share?, seed?} (blocks written since the last
 * snapshot count as unwritten, each with this chance; 1 is all), "exaggerate" (all count as written), "rewind" {by?} (the counter goes
 * back by so much, 2 if not given; by 1 it stands still), "other-uuid" (the counter of another chain), "no-change-id" (never again one on this disk);
 * fill-datastore {datastore?, freeBytes} (others' files leave so much free), hold-consolidation {ms, deaf?} (removals leave the disks unmerged for so long; deaf: tracking misses what is written meanwhile),
 * list-late {ms} (the tree shows the next snapshot so much later; 0 shows all that are there), power-loss {} (off, on, and tracking begins anew),
 * others-read {connections?, bufferBytes?} (other products use so much of the machine's host from now on; 0, as if not given, is nothing),
 * raise-alarm {name, from?, to?, times?} (an alarm of the machine changes now, from green to red if not given),
 * read-latency {datastore?, readMs?, missed?} (what hosts measure of the datastore's reads from now on, the newest `missed` samples not taken; without readMs, or null,
 * they do not count them), relocate {host?, datastore?, changeTracking?: "kept" | "reset"}, task {name, ms} (another product's, on the machine), end-tasks {} (all on the machine are
 * cancelled),
 * write {bytes} (the guest writes that much now).
 */
export function readLieWish(object: JsonObject, action: LieAction): (machine: Machine, estate: Estate) => void {
  const msOf = (key: string) => object.number(key, { low: 0, high: LONGEST_MS })
  switch (action) {
    case 'change-tracking':
      return readTracking(object)
    case 'fill-datastore': {
      const name = object.textOrNull('datastore')
      const freeBytes = object.wholeNumber('freeBytes', { low: 0, high: 2 ** 50 })
      return (machine, estate) => {
        datastoreOf({ machine, estate, name }).fill({ freeBytes })
      }
    }
    case 'hold-consolidation': {
      const held = { ms: msOf('ms'), deaf: object.flag('deaf', { fallback: false }) }
      return (machine) => machine.holdConsolidation(held)
    }
    case 'list-late': {
      const ms = msOf('ms')
      return (machine) => {
        machine.listLate(ms)
        if (ms === 0) for (const one of machine.snapshots) one.listedFromMs = 0
      }
    }
    case 'power-loss':
      return losePower
    case 'others-read': {
      const amount = (key: string) => object.wholeNumber(key, { low: 0, high: 2 ** 40, fallback: 0 })
      const use = { connections: amount('connections'), bufferBytes: amount('bufferBytes') }
      return (machine, estate) => {
        const placed = estate.machines().find((each) => each.machine === machine)
        if (placed !== undefined) estate.peaks.othersUse(placed.place.host, use)
      }
    }
    case 'raise-alarm':
      return readAlarm(object)
    case 'read-latency': {
      const name = object.textOrNull('datastore')
      const missed = object.wholeNumber('missed', { low: 0, high: 180, fallback: 0 })
      const readMs =
        (object.spot('readMs').value ?? null) !== null
          ? object.wholeNumber('readMs', { low: 0, high: LONGEST_MS })
          : null
      return (machine, estate) => {
        datastoreOf({ machine, estate, name }).readLatency = readMs === null ? null : { readMs, missed }
      }
    }
    case 'relocate': {
      const changeTracking = object.choice('changeTracking', { of: ['kept', 'reset'], fallback: 'kept' })
      const target = { host: object.textOrNull('host'), datastore: object.textOrNull('datastore'), changeTracking }
      return (machine, estate) => estate.relocateMachine(machine, target)
    }
    case 'task': {
      const task = { name: object.text('name', {}), durationMs: msOf('ms') }
      return (machine, estate) => estate.foreignTasks.start({ machine, ...task })
    }
    case 'end-tasks':
      return (machine, estate) => estate.foreignTasks.end(machine)
    case 'write': {
      const bytes = object.wholeNumber('bytes', { low: 0, high: 2 ** 40 })
      return (machine) => machine.guest.burst(bytes)
    }
  }
}

function readAlarm(object: JsonObject): (machine: Machine, estate: Estate) => void {
  const alarm = {
    alarmName: object.text('name', {}),
    from: object.choice('from', { of: COLOURS, fallback: 'green' }),
    to: object.choice('to', { of: COLOURS, fallback: 'red' }),
  }
  const times = object.wholeNumber('times', { low: 1, high: 10_000, fallback: 1 })
  return (machine, estate) => {
    for (let time = 0; time < times; time++) estate.alarms.raise({ machine, ...alarm })
  }
}

type Spot = { readonly machine: Machine; readonly estate: Estate; readonly name: string | null }

/** The named one, or that of the machine's first disk. */
function datastoreOf({ machine, estate, name }: Spot): Datastore {
  const own = name ?? machine.disks[0]?.datastore
  const found = estate.datastores.find((one) => one.name === own)
  if (found === undefined) throw new SimFault('InvalidDatastore', `There is no datastore "${own}"`)
  return found
}

/** The host's own end: nobody closed the tracking files, so that they are made anew. */
function losePower(machine: Machine): void {
  if (machine.powerState === 'poweredOn') machine.powerOff()
  for (const disk of machine.disks) if (disk.tracker !== null) disk.startTracking()
  machine.powerOn()
}

function readTracking(object: JsonObject): (machine: Machine) => void {
  if (!object.has('lie')) {
    const enabled = object.flag('enabled', { fallback: true })
    return (machine) => machine.setChangeTracking(enabled)
  }
  const lie = object.choice('lie', { of: TRACKING_LIES })
  const share = object.number('share', { low: 0, high: 1, fallback: 1 })
  const by = object.wholeNumber('by', { low: 1, high: 1000, fallback: 2 })
  const random = seededRandom(object.wholeNumber('seed', { low: 0, high: 2 ** 31, fallback: 1 }))
  const key = object.has('deviceKey') ? object.wholeNumber('deviceKey', { low: 0, high: 2 ** 31 }) : null
  return (machine) => {
    for (const disk of machine.disks) {
      if (key !== null && disk.deviceKey !== key) continue
      if (lie === 'forget') disk.tracker?.forget({ share, random })
      else if (lie === 'exaggerate') disk.tracker?.exaggerate()
      else if (lie === 'rewind') disk.tracker?.rewind(by)
      else if (lie === 'other-uuid') disk.tracker?.rename(changeUuid(random))
      else disk.refuseTracking()
    }
  }
}
