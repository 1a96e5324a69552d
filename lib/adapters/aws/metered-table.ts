// What a DynamoDB client uses, as DynamoDB itself counts it.

import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Meter } from '../../ports/meter.ts'

/**
 * Has every answer of the client tell its capacity units, indexes included, and counts them. A call without an answer is not counted,
 * though it may have been carried out.
 */
export function meterTable(client: DynamoDBClient, meter: Pick<Meter, 'add'>): void {
  client.middlewareStack.add(
    (next, context) => async (call) => {
      const reads = /^(?:Get|BatchGet|Query|Scan)/.test(context.commandName ?? '')
      const answer = await next({ ...call, input: { ...call.input, ReturnConsumedCapacity: 'TOTAL' } })
      const units = unitsOf(answer.output)
      meter.add(reads ? { tableReadUnits: units } : { tableWriteUnits: units })
      return answer
    },
    { step: 'initialize', name: 'meterTable' },
  )
}

/** ConsumedCapacity: one of the table, or a list of one a table. */
function unitsOf(output: object): number {
  const told: unknown = Reflect.get(output, 'ConsumedCapacity')
  const all = Array.isArray(told) ? told : [told]
  return all.reduce<number>((sum, one) => {
    const units: unknown = typeof one === 'object' && one !== null ? Reflect.get(one, 'CapacityUnits') : 0
    return sum + (typeof units === 'number' ? units : 0)
  }, 0)
}
