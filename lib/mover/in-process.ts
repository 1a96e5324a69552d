// A region worker in this thread, for small jobs and for tests.

import type { MoverDeps } from './deps.ts'
import { openRegionWorker, type WorkerDeps } from './region-worker.ts'

export function inProcessWorkers(deps: Omit<WorkerDeps, 'report'>): MoverDeps['openWorker'] {
  return (plan, report) => openRegionWorker(plan, { ...deps, report })
}
