// Carrying out an action on a machine that is known by its name.

import { BackupError } from '../../lib/base/errors.ts'
import type { Machine } from '../machine/machine.ts'
import { SimFault } from '../machine/types.ts'
import { changeMachine, type MachineAction, type MachineReport } from './actions.ts'
import type { Estate } from './estate.ts'
import type { JsonSpot } from './json.ts'

/**
 * Does what POST /machines/NAME/ACTION does, for a rule of a scenario.
 * @throws SimFault, or BackupError `not-found`, `malformed`
 */
export function actOn(
  estate: Estate,
  wish: { readonly vm: string; readonly action: MachineAction; readonly body: unknown },
): MachineReport {
  const root: JsonSpot = { value: wish.body, at: '', faults: [] }
  const report = changeMachine(machineNamed(estate, wish.vm), { action: wish.action, root, estate })
  if (root.faults.length === 0) return report
  throw new BackupError(`Cannot do "${wish.action}": ${root.faults.join('; ')}`, { code: 'malformed', kind: 'usage' })
}

/** By name or instance uuid. @throws SimFault Ambiguous, BackupError `not-found` */
export function machineNamed(estate: Estate, name: string): Machine {
  const found = estate
    .machines()
    .filter(({ machine }) => machine.config.name === name || machine.config.instanceUuid === name)
  const [only] = found
  if (only === undefined) {
    throw new BackupError(`There is no machine "${name}"`, { code: 'not-found', kind: 'not-found' })
  }
  if (found.length === 1) return only.machine
  const uuids = found.map(({ machine }) => machine.config.instanceUuid)
  throw new SimFault('Ambiguous', `There are ${found.length} machines "${name}": ${uuids.join(', ')}`)
}
