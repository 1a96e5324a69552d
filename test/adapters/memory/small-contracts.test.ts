import { memoryEvents } from '../../../lib/adapters/memory/events.ts'
import { memoryNotifier } from '../../../lib/adapters/memory/notifier.ts'
import { memorySchedules } from '../../../lib/adapters/memory/schedules.ts'
import { memorySecrets } from '../../../lib/adapters/memory/secrets.ts'
import { manualClock } from '../../../lib/base/clock.ts'
import { clockContract } from '../../contract/clock.ts'
import { eventsContract } from '../../contract/events.ts'
import { notifierContract } from '../../contract/notifier.ts'
import { schedulesContract } from '../../contract/schedules.ts'
import { secretsContract } from '../../contract/secrets.ts'

secretsContract('memory', async () => ({
  secrets: memorySecrets({ known: 'the value' }),
  [Symbol.asyncDispose]: async () => {},
}))

eventsContract('memory', async () => {
  const events = memoryEvents()
  return { events, published: async () => events.published, [Symbol.asyncDispose]: async () => {} }
})

schedulesContract('memory', async () => ({ schedules: memorySchedules(), [Symbol.asyncDispose]: async () => {} }))

notifierContract('memory', async () => {
  const notifier = memoryNotifier()
  return {
    notifier,
    told: async () => notifier.sent.map((one) => `${JSON.stringify(one)}${one.message}`),
    [Symbol.asyncDispose]: async () => {},
  }
})

clockContract('manual', () => {
  const clock = manualClock()
  return { clock, pass: async (ms) => clock.advance(ms) }
})
