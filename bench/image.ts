// One backup or restore of a raw image, as a process of its own, so that its time and memory are its own.
// usage: image.ts backup --image FILE --repository DIR --workers N [--changed FILE]   |   restore --repository DIR --to FILE

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { imageTransport } from '../lib/adapters/disk/image-transport.ts'
import { openRawFileTarget } from '../lib/adapters/disk/raw-target.ts'
import { folderStore } from '../lib/adapters/local/folder-store.ts'
import { passphraseWrapper } from '../lib/adapters/local/passphrase.ts'
import { memoryJobStore } from '../lib/adapters/memory/job-store.ts'
import { memoryLog } from '../lib/adapters/memory/log.ts'
import { memoryMeter } from '../lib/adapters/memory/meter.ts'
import { systemClock } from '../lib/base/clock.ts'
import { systemRandom } from '../lib/base/random.ts'
import { fittingWorkers } from '../lib/compose/mover-threads.ts'
import { threadReaders } from '../lib/compose/restore-threads.ts'
import { sessionIdOf } from '../lib/model/ids.ts'
import { inProcessWorkers } from '../lib/mover/in-process.ts'
import { moveJob } from '../lib/mover/move.ts'
import { WORKER_LIMITS } from '../lib/mover/region-worker.ts'
import { publishCandidate } from '../lib/repository/candidate.ts'
import { createRepository } from '../lib/repository/open-repository.ts'
import { listPointRefs, readPoint } from '../lib/repository/points.ts'
import { restoreDisk } from '../lib/restore/restore-disk.ts'
import { imageJob, imageVsphere } from './image-job.ts'

const cancel = { signal: new AbortController().signal }
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    image: { type: 'string', default: '' },
    repository: { type: 'string', default: '' },
    workers: { type: 'string', default: '2' },
    changed: { type: 'string' },
    to: { type: 'string', default: '' },
  },
})

const store = folderStore({ path: values.repository })
// The cost of the passphrase is not what is measured.
const wrapper = passphraseWrapper({
  passphrase: 'bench',
  random: systemRandom,
  cost: { memoryKiB: 64, passes: 1, lanes: 1 },
})
const repository = await createRepository(
  { store, wrappers: [wrapper], random: systemRandom, clock: systemClock },
  cancel,
)

async function backup() {
  const refs = await listPointRefs({ repository }, cancel)
  const job = imageJob({
    image: values.image,
    number: refs.length + 1,
    tracking: values.changed !== undefined || refs.length === 0,
  })
  const jobs = memoryJobStore()
  await jobs.jobs.create(job.id, job, cancel)
  const workers = Number(values.workers)
  const task = { store: { kind: 'folder', folder: values.repository }, transports: [{ kind: 'image' }] } as const
  const transports = [imageTransport()]
  const result = await moveJob(
    { jobId: job.id, attempt: 1, holder: 'bench' },
    {
      jobs,
      repository,
      transports,
      vsphere: imageVsphere(
        values.image,
        values.changed === undefined ? [] : JSON.parse(readFileSync(values.changed, 'utf8')),
      ),
      meter: memoryMeter({ functionGb: 0 }),
      openWorker:
        workers === 0
          ? inProcessWorkers({ transports, store, random: systemRandom })
          : fittingWorkers(new URL('../task/worker.ts', import.meta.url), {
              task,
              transports,
              store,
              random: systemRandom,
            }),
      settings: {
        chunkLog2: repository.settings.chunkLog2,
        workersMax: workers,
        limits: { ...WORKER_LIMITS, uploadsMax: 2 },
        latency: null,
        taskSize: null,
        writer: 'bench',
      },
      clock: systemClock,
      random: systemRandom,
      log: memoryLog(),
    },
    cancel,
  )
  if (result.kind === 'failed') throw new Error(result.message)
  await publishCandidate({ repository, sessionId: sessionIdOf(job.id, 1), clock: systemClock }, cancel)
  return result.counts
}

async function restore() {
  const ref = (await listPointRefs({ repository }, cancel)).at(-1)
  if (ref === undefined) throw new Error('there is no point')
  const point = await readPoint({ repository, ref }, cancel)
  const [disk] = point.envelope.disks
  if (disk === undefined) throw new Error('the point has no disk')
  const count = Number(values.workers)
  const readers = threadReaders(new URL('../task/restore-worker.ts', import.meta.url), {
    store: { kind: 'folder', folder: values.repository },
    count,
  })
  await using target = await openRawFileTarget(
    { path: values.to, capacityBytes: disk.capacityBytes, overwrite: true },
    cancel,
  )
  return await restoreDisk(
    { repository, point, diskKey: disk.key, target, onProgress: () => undefined, ...(count === 0 ? {} : { readers }) },
    cancel,
  )
}

const counts = positionals[0] === 'restore' ? await restore() : await backup()
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6
process.stdout.write(`${JSON.stringify({ ...counts, cpuSeconds, maxRssBytes: maxRSS * 1024 })}\n`)
