import { memoryTasks } from '../../../lib/adapters/memory/tasks.ts'
import { tasksContract } from '../../contract/tasks.ts'

tasksContract('memory', async () => ({
  waiting: memoryTasks(
    (_request, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
  ),
  failing: memoryTasks(() => Promise.reject(new Error('broken'))),
  [Symbol.asyncDispose]: async () => {},
}))
