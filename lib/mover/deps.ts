// What the mover acts through, and its settings. No code.

import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { AdmissionLimits } from '../model/admission.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'
import type { Meter } from '../ports/meter.ts'
import type { Transport } from '../ports/transport.ts'
import type { Vsphere } from '../ports/vsphere.ts'
import type { Repository } from '../repository/repository.ts'
import type { HoldTimes } from './hold.ts'
import type { RegionWorker, WorkerLimits, WorkerPlan } from './region-worker.ts'

export type LatencyWatch = Pick<AdmissionLimits, 'latencyStartMs' | 'latencyStopMs'> & {
  /** Between two looks: hosts sample every 20 s. */
  readonly everyMs: number
}

/** What a task's time is paid for. */
export type TaskSize = { readonly vcpus: number; readonly memoryGb: number }

export type MoverSettings = {
  /** Of disks without a past: 16 to 22. */
  readonly chunkLog2: number
  /** Region workers side by side; small jobs start fewer. */
  readonly workersMax: number
  readonly limits: WorkerLimits
  /** Whether, and how, reading slows down while storage is busy. */
  readonly latency: LatencyWatch | null
  /** The program's name and version, kept with the point. */
  readonly writer: string
  /** Null where a mover's time costs nothing: on a machine of one's own. */
  readonly taskSize: TaskSize | null
  readonly times?: HoldTimes
}

export type MoverDeps = {
  readonly jobs: JobStore
  readonly vsphere: Vsphere
  readonly repository: Repository
  /** For choosing; the workers open their own. */
  readonly transports: readonly Transport[]
  /** A worker in a thread or in this process; `report` is called as bytes are done. */
  readonly openWorker: (
    plan: WorkerPlan,
    report: (diskKey: number, doneBytes: number) => void,
    cancel: Cancel,
  ) => Promise<RegionWorker>
  /** Counts what this program uses; region workers bring what they counted themselves. */
  readonly meter: Meter
  readonly settings: MoverSettings
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}
