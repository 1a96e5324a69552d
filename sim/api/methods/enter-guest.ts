// What every guest operation begins with: the right to it, a guest that answers, and an account that it knows.

import type { GuestAccount, GuestPrograms, GuestSystem } from '../../guest/types.ts'
import { SimFault } from '../../machine/types.ts'
import { type Data, dataAt, refAt, textAt } from '../../soap/value.ts'
import { type Call, machineAt } from '../front.ts'
import type { MachineEntity } from '../world.ts'
import { requirePrivilege } from './login.ts'

export type GuestRight = 'Query' | 'Modify' | 'Execute'

export type EnteredGuest = {
  readonly entity: MachineEntity
  readonly system: GuestSystem
  readonly account: GuestAccount
}

/**
 * @throws SimFault NoPermission, InvalidPowerState, GuestOperationsUnavailable, OperationDisabledByGuest, InvalidGuestLogin,
 * InvalidState
 */
export function enterGuest(call: Call, right: GuestRight): EnteredGuest {
  const entity = machineAt(call.front, refAt(call.args, 'vm'))
  requirePrivilege(call, { privilege: `VirtualMachine.GuestOperations.${right}`, entity: entity.ref })
  const { machine } = entity
  if (machine.powerState !== 'poweredOn') {
    throw new SimFault('InvalidPowerState', 'The attempted operation cannot be performed in the current state.', {
      requestedState: 'poweredOn',
      existingState: machine.powerState,
    })
  }
  if (!machine.toolsRunning || machine.system === null) {
    throw new SimFault('GuestOperationsUnavailable', 'The guest operations agent could not be contacted.')
  }
  if (machine.tools.operationsDisabled) {
    throw new SimFault('OperationDisabledByGuest', 'The operation is disabled by the guest operating system.')
  }
  return { entity, system: machine.system, account: accountOf(machine.system, dataAt(call.args, 'auth')) }
}

/** @throws SimFault GuestOperationsUnavailable for a Windows guest */
export function programsOf({ system }: EnteredGuest): GuestPrograms {
  if (system.programs !== null) return system.programs
  throw new SimFault('GuestOperationsUnavailable', 'The simulator cannot run programs of a Windows guest')
}

function accountOf(system: GuestSystem, auth: Data): GuestAccount {
  if (auth.type !== 'NamePasswordAuthentication') {
    throw new SimFault('InvalidGuestLogin', `The simulated guest knows no ${auth.type}`)
  }
  if (auth.fields['interactiveSession'] === true) {
    throw new SimFault('InvalidState', 'Nobody is logged in interactively in the guest')
  }
  const account = system.login({ userName: textAt(auth, 'username'), password: textAt(auth, 'password') })
  if (account === null) {
    const message = 'Failed to authenticate with the guest operating system using the supplied credentials.'
    throw new SimFault('InvalidGuestLogin', message)
  }
  return account
}
