// Restores as tasks and cancelling, from outside on one machine: the command, the engine, a task of its own process, a bucket.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startS3Server } from '../kit/s3-server.ts'
import { backUp, jobsOf, openHome, openSim, snapshotsIn } from './kit.ts'

const patience = { timeout: 120_000 }

type Restored = {
  readonly operation: {
    readonly outcome: { readonly kind: string; readonly code: string }
    readonly result: readonly string[]
  }
}

it('a disk is restored into a bucket by a task, byte for byte, and nowhere else', patience, async () => {
  await using server = await startS3Server()
  server.addBucket('restored')
  await using sim = await openSim('--estate', 'small')
  await using home = await openHome(sim)
  await backUp(home, ['cold-01'])
  const environment = { ...server.environment, COLDFRAME_RESTORE_TARGETS: 's3://restored/vms/' }

  const ended = await home.run<Restored>(['restore', 'cold-01@latest', '--to', 's3://restored/vms/'], { environment })
  expect([ended.exitCode, ended.document?.data?.operation.outcome]).toMatchObject([0, { kind: 'success' }])
  const plain = join(home.folder, 'plain.raw')
  expect((await home.run(['restore', 'cold-01@latest', '--to', plain])).exitCode).toBe(0)
  const objects = [...(server.buckets.get('restored')?.objects ?? [])]
  expect(objects.map(([key]) => `s3://restored/${key}`)).toEqual(ended.document?.data?.operation.result)
  const [[, versions] = ['', []]] = objects
  expect(Buffer.from(versions.at(-1)?.bytes ?? []).equals(await readFile(plain))).toBe(true)

  const refused = await home.run(['restore', 'cold-01@latest', '--to', 's3://restored/other/'], { environment })
  expect([refused.exitCode, refused.document?.error?.code]).toEqual([4, 'target-not-allowed'])
  const missing = await home.run(['restore', 'cold-01@9', '--to', 's3://restored/vms/'], { environment })
  expect([missing.exitCode, missing.document?.error?.code]).toEqual([3, 'point-not-found'])
  expect(server.buckets.get('restored')?.objects.size).toBe(1)
})

it('a cancelled backup ends, by whichever command is the engine, and leaves no snapshot', patience, async () => {
  await using sim = await openSim('--estate', 'small')
  await using home = await openHome(sim)
  await sim.arm({ call: '/folder', chance: 1, mishap: { kind: 'delay', delayMs: 1_500 } })
  const backup = home.start(['backup', '--vm', 'app-01'])
  const now = async () => (await jobsOf(home))[0]
  while ((await now())?.state !== 'transferring') await wait(50)
  const id = (await now())?.id ?? ''
  const cancelled = await home.run(['cancel', id.slice(0, 8)])
  await sim.calm()
  const ended = await backup.ended
  expect([cancelled.exitCode, ended.exitCode, ended.document?.error?.code]).toEqual([0, 1, 'cancelled'])
  expect((await now())?.owes).toEqual([])
  expect(await snapshotsIn(sim)).toEqual([])
})
