// A region worker in this thread, for small jobs and for tests.

import { NO_USAGE } from '../model/usage.ts'
import type { MoverDeps } from './deps.ts'
import { openRegionWorker, type WorkerDeps } from './region-worker.ts'

export function inProcessWorkers(deps: Omit<WorkerDeps, 'report' | 'usage'>): MoverDeps['openWorker'] {
  return (plan, report) => openRegionWorker(plan, { ...deps, usage: () => NO_USAGE, report })
}
