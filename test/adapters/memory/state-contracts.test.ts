import { memoryJobStore } from '../../../lib/adapters/memory/job-store.ts'
import { memoryQueue } from '../../../lib/adapters/memory/queue.ts'
import { manualClock } from '../../../lib/base/clock.ts'
import { jobStoreContract } from '../../contract/job-store.ts'
import { queueContract } from '../../contract/queue.ts'

jobStoreContract('memory', async () => ({ store: memoryJobStore(), [Symbol.asyncDispose]: async () => {} }))

queueContract('memory', async () => {
  const clock = manualClock()
  return {
    queue: memoryQueue({ clock, receivesMax: 3 }),
    advance: async (ms) => clock.advance(ms),
    [Symbol.asyncDispose]: async () => {},
  }
})
