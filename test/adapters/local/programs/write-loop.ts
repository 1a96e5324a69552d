// Writes numbered records and messages to a state file and says each number once it was answered; until killed.
// Usage: write-loop.ts STATE_FILE PREFIX

import { sqliteJobStore } from '../../../../lib/adapters/local/job-store.ts'
import { sqliteQueue } from '../../../../lib/adapters/local/queue.ts'
import { memoryLog } from '../../../../lib/adapters/memory/log.ts'
import { systemClock } from '../../../../lib/base/clock.ts'
import { openStateAt } from '../../../kit/local-state.ts'
import { sampleJob } from '../../../kit/record-samples.ts'

const [path = '', prefix = ''] = process.argv.slice(2)
const cancel = { signal: new AbortController().signal }
const state = await openStateAt(path)
const store = sqliteJobStore(state)
const queue = sqliteQueue(state, { clock: systemClock, receivesMax: 5, log: memoryLog() })
for (let number = 0; ; number++) {
  const name = `${prefix}-${number}`
  await store.resources.create(name, { name, places: [], waiters: [] }, cancel)
  await queue.send({ v: 1, kind: 'capture', jobId: sampleJob().id, attempt: 1, round: number }, { delayMs: 0 }, cancel)
  process.stdout.write(`${name}\n`)
  // SQLite's waiters are not served in turn: without a pause one writer keeps all others out.
  await systemClock.sleep(1, cancel)
}
