// Faults of the simulated hardware and front as the API's fault objects.

import { SimFault } from '../machine/types.ts'
import { dataTypeOf, type Field, isDerived } from '../soap/schema.ts'
import { type Data, data, ref, type Value } from '../soap/value.ts'

/** The fault object alone. A fault that the tables do not hold becomes SystemError, with its name as the reason. */
export function faultData(fault: SimFault): Data {
  const type = dataTypeOf(fault.fault)
  if (type === null || !isDerived(type.name, 'MethodFault')) {
    return data('SystemError', { reason: `${fault.fault}: ${fault.message}` })
  }
  const own = type.fields.filter(({ name }) => name !== 'faultCause' && name !== 'faultMessage')
  return data(type.name, Object.fromEntries(own.map((field) => [field.name, fieldValue(fault, field)])))
}

/** LocalizedMethodFault, as tasks and missing properties carry it. */
export function faultWithMessage(fault: SimFault): Data {
  return data('LocalizedMethodFault', { fault: faultData(fault), localizedMessage: fault.message })
}

export function notAuthenticated(privilegeId: string): SimFault {
  return new SimFault('NotAuthenticated', 'The session is not authenticated.', {
    object: 'group-d1',
    referenceType: 'Folder',
    privilegeId,
  })
}

export function notFound(object: { readonly type: string; readonly id: string }): SimFault {
  const message = `The object '${object.type}:${object.id}' has already been deleted or has not been completely created`
  return new SimFault('ManagedObjectNotFound', message, { obj: object.id, referenceType: object.type })
}

export function invalidArgument(property: string, message?: string): SimFault {
  const text = message ?? `A specified parameter was not correct: ${property}`
  return new SimFault('InvalidArgument', text, { invalidProperty: property })
}

/** What was thrown, as a fault: anything but a SimFault is a fault of the simulator and says so. */
export function asFault(error: unknown): SimFault {
  if (error instanceof SimFault) return error
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new SimFault('SystemError', `The simulator failed: ${message}`, { reason: message })
}

/** References travel as the id in the field's own name, and the managed type in "referenceType". */
function fieldValue(fault: SimFault, field: Field): Value | null {
  const given = fault.properties[field.name]
  if (field.reference) {
    const type = String(fault.properties['referenceType'] ?? field.type)
    if (given !== undefined) return ref(type, String(given))
    return field.optional ? null : field.type === 'Task' ? ref('Task', 'task-0') : ref('Folder', 'group-d1')
  }
  if (given !== undefined) return given
  if (field.optional || field.array) return null
  switch (field.type) {
    case 'int':
    case 'long':
    case 'short':
      return 0
    case 'boolean':
      return false
    case 'VirtualMachinePowerState':
      return 'poweredOn'
    case 'LocalizedMethodFault':
      return data('LocalizedMethodFault', { fault: data('MethodFault') })
    default:
      return ''
  }
}
