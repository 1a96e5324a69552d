// The mover over any state, repository and vCenter: what is the same on one machine and in a container.

import { availableParallelism } from 'node:os'
import { openVsphere } from '../adapters/vsphere/vsphere.ts'
import type { Cancel } from '../base/time-limit.ts'
import { defaultAdmissionLimits } from '../model/admission.ts'
import type { MoverDeps, TaskSize } from '../mover/deps.ts'
import type { AttemptResult } from '../mover/hold.ts'
import { type MoveRequest, moveJob } from '../mover/move.ts'
import { WORKER_LIMITS } from '../mover/region-worker.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Log } from '../ports/log.ts'
import type { Meter } from '../ports/meter.ts'
import type { Repository } from '../repository/repository.ts'
import type { AdmissionSettings } from '../wire/admission-settings.ts'
import type { VddkSettings } from '../wire/vddk-settings.ts'
import { fittingWorkers, type MoverTask } from './mover-threads.ts'
import type { StoreSettings } from './object-stores.ts'
import { openTransports, transportSettingsOf } from './transports.ts'
import { type Surroundings, type VcenterAccess, vsphereSettingsOf } from './vsphere-settings.ts'

/** Hosts sample their datastores as often. */
const LATENCY_EVERY_MS = 20_000

/** What a program brings with it. */
export type MoverProgram = {
  readonly around: Surroundings
  /** The worker entry beside the program. */
  readonly workerEntry: URL
  /** Region workers at most; null: one a core, four at most. */
  readonly workersMax: number | null
  /** Name and version, kept with each point. */
  readonly writer: string
  readonly log: Log
}

export type MoverParts = {
  readonly jobs: JobStore
  readonly repository: Repository
  /** The repository's store again, as plain data: each thread opens its own. */
  readonly store: StoreSettings
  readonly vcenter: VcenterAccess
  readonly vddk: VddkSettings
  readonly admission: AdmissionSettings
  readonly meter: Meter
  readonly taskSize: TaskSize | null
}

/** @throws what moveJob() throws; BackupError when the vCenter settings are unusable */
export async function runMover(
  request: MoveRequest,
  { parts, program }: { readonly parts: MoverParts; readonly program: MoverProgram },
  cancel: Cancel,
): Promise<AttemptResult> {
  const { repository, vcenter, vddk, admission } = parts
  const { around, log } = program
  const { clock, random } = around
  const task: MoverTask = { store: parts.store, transports: transportSettingsOf({ vddk }, vcenter) }
  const transports = await openTransports(task.transports, around, cancel)
  const settings: MoverDeps['settings'] = {
    chunkLog2: repository.settings.chunkLog2,
    workersMax: program.workersMax ?? admission.moverWorkers ?? Math.min(4, availableParallelism()),
    limits: { ...WORKER_LIMITS, uploadsMax: 2 },
    latency: { ...defaultAdmissionLimits, ...admission, everyMs: LATENCY_EVERY_MS },
    taskSize: parts.taskSize,
    writer: program.writer,
  }
  return await moveJob(
    request,
    {
      jobs: parts.jobs,
      vsphere: openVsphere(await vsphereSettingsOf(vcenter, around, cancel)),
      repository,
      transports,
      meter: parts.meter,
      openWorker: fittingWorkers(program.workerEntry, { task, transports, store: repository.store, random }),
      ...{ settings, clock, random, log },
    },
    cancel,
  )
}
