// The mover with real threads: the worker entry of the task, image files, a folder repository.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { imageTransport } from '../../lib/adapters/disk/image-transport.ts'
import { openRawFileTarget } from '../../lib/adapters/disk/raw-target.ts'
import { folderStore } from '../../lib/adapters/local/folder-store.ts'
import { MiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { threadWorkers } from '../../lib/compose/mover-threads.ts'
import { threadReaders } from '../../lib/compose/restore-threads.ts'
import { sessionIdOf } from '../../lib/model/ids.ts'
import { moveJob } from '../../lib/mover/move.ts'
import { restoreDisk } from '../../lib/restore/restore-disk.ts'
import { cancel, commit, depsOf, differingDisks, moverWorld, prepare } from './world.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coldframe-threads-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function threadedWorld(entry = new URL('../../task/worker.ts', import.meta.url), auditPercent = 0) {
  const repositoryFolder = join(folder, 'repository')
  const world = await moverWorld({
    store: folderStore({ path: repositoryFolder }),
    transports: () => [imageTransport()],
    auditPercent,
  })
  world.vm.addDisk(2000, 70 * MiB + 513)
  world.vm.addDisk(2001, 20 * MiB)
  world.vm.write(2000, 3 * MiB, seededRandom(1).bytes(4 * MiB))
  world.vm.write(2000, 60 * MiB, seededRandom(2).bytes(3 * MiB))
  world.vm.write(2001, 0, seededRandom(2).bytes(3 * MiB))
  const task = { store: { kind: 'folder', folder: repositoryFolder }, transports: [{ kind: 'image' }] } as const
  const settings = { ...world.settings, workersMax: 2 }
  return { world, deps: depsOf(world, { openWorker: threadWorkers(entry, task), settings }), repositoryFolder }
}

/** A job whose disks are files. */
async function prepareFiles(world: Awaited<ReturnType<typeof threadedWorld>>['world']) {
  const { job, images } = await prepare(world)
  const { capture } = job
  if (capture === null) throw new Error('captured')
  for (const [key, bytes] of images) await writeFile(join(folder, `${key}.raw`), bytes)
  const disks = capture.disks.map((disk) => ({ ...disk, fileName: join(folder, `${disk.key}.raw`) }))
  const value = { ...job, capture: { ...capture, disks } }
  await world.jobs.jobs.replace(job.id, { value, version: 1 }, cancel)
  return { job: value, images }
}

describe('moveJob() with threads', () => {
  it('backs up and restores byte for byte, in full and by changes', async () => {
    const { world, deps, repositoryFolder } = await threadedWorld()
    for (let round = 0; round < 2; round++) {
      const { job, images } = await prepareFiles(world)
      const result = await moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, deps, cancel)
      expect(result.kind).toBe('sealed')
      const point = await commit(world, job)
      expect(point.body.disks[0]?.readMode).toBe(round === 0 ? 'full' : 'incremental')
      expect(await differingDisks(world, { point, images })).toEqual([])
      const path = join(folder, 'restored.raw')
      const { capacityBytes } = point.envelope.disks[0] ?? { capacityBytes: 0 }
      await using target = await openRawFileTarget({ path, capacityBytes, overwrite: true }, cancel)
      const entry = new URL('../../task/restore-worker.ts', import.meta.url)
      const readers = threadReaders(entry, { store: { kind: 'folder', folder: repositoryFolder }, count: 2 })
      const progress: number[] = []
      const onProgress = (doneBytes: number) => void progress.push(doneBytes)
      const restored = await restoreDisk(
        { repository: world.repository, point, diskKey: 2000, target, onProgress, readers },
        cancel,
      )
      expect(Buffer.compare(await readFile(path), images.get(2000) ?? Buffer.alloc(0))).toBe(0)
      expect(restored.writtenBytes).toBeLessThan(capacityBytes)
      expect(progress.at(-1)).toBe(capacityBytes)
      world.vm.write(2000, 50 * MiB, seededRandom(round + 9).bytes(100_000))
    }
  }, 60_000)

  it('audits in the threads, and reads a disk whole there that differs', async () => {
    const { world, deps } = await threadedWorld(undefined, 100)
    const rounds: object[] = []
    for (let round = 0; round < 3; round++) {
      const { job, images } = await prepareFiles(world)
      const progress: number[] = []
      const result = await moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, deps, cancel)
      expect(result.kind).toBe('sealed')
      const point = await commit(world, job)
      expect(await differingDisks(world, { point, images })).toEqual([])
      rounds.push(...point.body.disks.map(({ readMode, audit }) => ({ readMode, mismatches: audit?.mismatches })))
      for (const disk of (await world.jobs.attempts.get(sessionIdOf(job.id, 1), cancel))?.value.progress ?? [])
        progress.push(disk.totalBytes - disk.doneBytes)
      expect(progress).toEqual([0, 0])
      if (round === 1) world.vm.writeUnseen(2000, 65 * MiB, seededRandom(7).bytes(10))
    }
    expect(rounds).toEqual([
      { readMode: 'full', mismatches: undefined },
      { readMode: 'full', mismatches: undefined },
      { readMode: 'incremental', mismatches: 0 },
      { readMode: 'incremental', mismatches: 0 },
      { readMode: 'differential', mismatches: 1 },
      { readMode: 'incremental', mismatches: 0 },
    ])
  }, 60_000)

  it('tells an error of a thread with its code, hint and facts', async () => {
    const { world, deps } = await threadedWorld()
    const { job } = await prepareFiles(world)
    const transport = { ...imageTransport(), open: imageTransport().open }
    // The file disappears between the choice of the transport and the threads' opening.
    const vanishing = {
      ...transport,
      open: async (...args: Parameters<typeof transport.open>) => {
        const source = await transport.open(...args)
        await rm(args[0].disk.fileName)
        return source
      },
    }
    const result = await moveJob(
      { jobId: job.id, attempt: 1, holder: 'a' },
      { ...deps, transports: [vanishing] },
      cancel,
    )
    expect(result).toMatchObject({ kind: 'failed', code: 'disk-not-found' })
  })

  it('fails, and may be tried again, when a thread dies', async () => {
    const entry = join(folder, 'dying.mjs')
    await writeFile(
      entry,
      `import { parentPort } from 'node:worker_threads'
       parentPort.postMessage({ kind: 'opened' })
       parentPort.on('message', () => process.exit(7))`,
    )
    const { world, deps } = await threadedWorld(new URL(`file://${entry}`))
    const { job } = await prepareFiles(world)
    const result = await moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, deps, cancel)
    expect(result).toMatchObject({ kind: 'failed', code: 'worker-lost', retry: 'later' })
  })

  it('ends its threads when it is stopped', async () => {
    const { world, deps } = await threadedWorld()
    const { job } = await prepareFiles(world)
    const stop = new AbortController()
    const reason = new BackupError('Stopped', { code: 'interrupted' })
    const openWorker: typeof deps.openWorker = (plan, report, inner) =>
      deps.openWorker(
        plan,
        (key, bytes) => {
          stop.abort(reason)
          report(key, bytes)
        },
        inner,
      )
    const startedMs = performance.now()
    await expect(
      moveJob({ jobId: job.id, attempt: 1, holder: 'a' }, { ...deps, openWorker }, { signal: stop.signal }),
    ).rejects.toBe(reason)
    expect(performance.now() - startedMs).toBeLessThan(10_000)
  })
})
