// Device keys and disk uuids as vSphere gives them, and the faults that hardware answers with.

import { type Random, wholeNumber } from '../../lib/base/random.ts'
import { type SimController, SimFault } from './types.ts'

/** 2000 + 16 a SCSI bus + unit; 16000 + 30 a SATA bus + unit. */
export function deviceKeyOf(
  disk: { readonly controllerKey: number; readonly unitNumber: number },
  options: { readonly controllers: readonly SimController[] },
): number {
  const controller = options.controllers.find((one) => one.deviceKey === disk.controllerKey)
  if (controller === undefined) {
    throw invalidArgument('controllerKey', `The machine has no controller ${disk.controllerKey}`)
  }
  return controller.type === 'VirtualAHCIController'
    ? 16000 + 30 * controller.busNumber + disk.unitNumber
    : 2000 + 16 * controller.busNumber + disk.unitNumber
}

/** The first unit of a controller that no disk has; 7 is a SCSI controller's own. */
export function freeUnit(
  controller: SimController,
  disks: readonly { readonly controllerKey: number; readonly unitNumber: number }[],
): number {
  const used = new Set(disks.filter((one) => one.controllerKey === controller.deviceKey).map((one) => one.unitNumber))
  let unitNumber = 0
  while (used.has(unitNumber) || unitNumber === 7) unitNumber++
  return unitNumber
}

/** A new backing uuid: "6000C29a-…". */
export function diskUuid(random: Random): string {
  const digits = () => wholeNumber(random, { low: 0, high: 0xffff }).toString(16).padStart(4, '0')
  return `6000C29${digits().slice(3)}-${digits()}-${digits()}-${digits()}-${digits()}${digits()}${digits()}`
}

export function invalidArgument(property: string, message: string): SimFault {
  return new SimFault('InvalidArgument', message, { invalidProperty: property })
}

export function fileFault(file: string, message: string): SimFault {
  return new SimFault('FileFault', message, { file })
}

export function powerFault(requestedState: string, existingState: string): SimFault {
  return new SimFault('InvalidPowerState', `The machine is ${existingState}`, { requestedState, existingState })
}
