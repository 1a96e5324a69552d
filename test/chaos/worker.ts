// One process of many.ts: carries out the runs that it is told, one after the other.

import { carryOutRun } from './carry-out.ts'
import type { Order } from './many.ts'

process.on('message', (order: Order) => {
  void carryOutRun(order).then(
    (result) => process.send?.({ ...result, log: [] }),
    (error: unknown) => {
      process.stderr.write(`Run ${order.run} of seed ${order.seed}: ${error instanceof Error ? error.stack : error}\n`)
      process.exit(1)
    },
  )
})
