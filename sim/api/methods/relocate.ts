// RelocateVM_Task: another host of the cluster, another datastore, or both, while the machine runs and has snapshots.

import { SimFault, type SimTarget } from '../../machine/types.ts'
import { type Data, dataAt, listAt, optionalRefAt, type Ref } from '../../soap/value.ts'
import { notFound } from '../faults.ts'
import { type Call, type Handler, machineAt } from '../front.ts'
import type { MachineEntity } from '../world.ts'
import { requirePrivilege } from './login.ts'
import { startTask } from './start-task.ts'

export const relocateMethods: Readonly<Record<string, Handler>> = {
  RelocateVM_Task: (call) => {
    const entity = machineAt(call.front, call.self.ref)
    const isRunning = entity.machine.powerState === 'poweredOn'
    const privilege = isRunning ? 'Resource.HotMigrate' : 'Resource.ColdMigrate'
    requirePrivilege(call, { privilege, entity: entity.ref })
    const target = targetOf(call, dataAt(call.args, 'spec'), entity)
    return startTask(call, {
      entity,
      descriptionId: 'VirtualMachine.relocate',
      durationMs: call.front.settings.taskMs,
      work: () => {
        call.front.world.estate.relocateMachine(entity.machine, target)
        return null
      },
    })
  },
}

/** What a spec may ask for here; the rest of it is refused, so that nothing is silently ignored. */
const SUPPORTED = new Set(['datastore', 'host', 'pool', 'disk'])

/** Change ids survive a move of the files (vSphere 6.0 and later). */
function targetOf(call: Call, spec: Data, entity: MachineEntity): SimTarget {
  for (const field of Object.keys(spec.fields)) {
    if (!SUPPORTED.has(field)) throw new SimFault('NotSupported', `Relocating with "${field}" is not simulated`)
  }
  const datastore = nameOf(call, optionalRefAt(spec, 'datastore'))
  const locators = listAt(spec, 'disk')
  const apart = locators.filter((disk) => nameOf(call, optionalRefAt(disk, 'datastore')) !== datastore)
  if (apart.length > 0 || (locators.length > 0 && locators.length < entity.machine.disks.length)) {
    throw new SimFault('NotSupported', 'Moving disks of one machine apart is not simulated')
  }
  return { host: nameOf(call, optionalRefAt(spec, 'host')), datastore, changeTracking: 'kept' }
}

/** @throws SimFault ManagedObjectNotFound */
function nameOf({ front }: Call, wanted: Ref | null): string | null {
  if (wanted === null) return null
  const found = front.world.find(wanted.id)
  if (found === null) throw notFound(wanted)
  return found.name
}
