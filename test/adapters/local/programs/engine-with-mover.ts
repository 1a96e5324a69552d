// An engine that starts one mover, says its task and pid, and waits to be killed.
// Usage: engine-with-mover.ts STATE_FILE LOG_FOLDER MOVER_PROGRAM

import { childTasks } from '../../../../lib/adapters/local/tasks.ts'
import { memoryLog } from '../../../../lib/adapters/memory/log.ts'
import { openStateAt } from '../../../kit/local-state.ts'
import { sampleJob } from '../../../kit/record-samples.ts'

const [path = '', logFolder = '', program = ''] = process.argv.slice(2)
const state = await openStateAt(path)
const tasks = childTasks(state, {
  command: { file: process.execPath, args: [program, 'wait'] },
  environment: process.env,
  logFolder,
  runningMax: 2,
  stopMs: 5000,
  log: memoryLog(),
})
const work = { kind: 'move', jobId: sampleJob().id, attempt: 1 } as const
const request = { work, clientToken: 'token', placement: 0 }
const { taskId } = await tasks.start(request, { signal: new AbortController().signal })
const pid = state.read((sql) => sql('SELECT pid FROM tasks WHERE id = ?').get(taskId)?.['pid'])
process.stdout.write(`${JSON.stringify({ taskId, pid })}\n`)
setInterval(() => undefined, 1000)
