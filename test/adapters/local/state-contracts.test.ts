import { sqliteJobStore } from '../../../lib/adapters/local/job-store.ts'
import { sqliteQueue } from '../../../lib/adapters/local/queue.ts'
import { memoryLog } from '../../../lib/adapters/memory/log.ts'
import { manualClock } from '../../../lib/base/clock.ts'
import { jobStoreContract } from '../../contract/job-store.ts'
import { queueContract } from '../../contract/queue.ts'
import { temporaryState } from '../../kit/local-state.ts'

jobStoreContract('SQLite', async () => {
  const opened = await temporaryState()
  return { store: sqliteJobStore(opened.state), [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() }
})

queueContract('SQLite', async () => {
  const opened = await temporaryState()
  const clock = manualClock()
  return {
    queue: sqliteQueue(opened.state, { clock, receivesMax: 3, log: memoryLog() }),
    advance: async (ms) => clock.advance(ms),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
})
