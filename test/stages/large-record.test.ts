// A record that no table can hold: the job says so and leaves nothing behind.

import { expect, it } from 'vitest'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import { backUpOne, expectRest } from './backups.ts'
import { newEngine } from './engine.ts'
import { addVm, newWorld } from './world.ts'

it('a VM whose configuration fits no record fails once, by name, and its snapshot is removed', async () => {
  const inner = memoryJobStore()
  let refused = 0
  const replace: JobStore['jobs']['replace'] = async (id, next, cancel) => {
    if (next.value.capture !== null) {
      refused++
      throw new BackupError('Cannot keep record: it is too large', { code: 'state-record-too-large' })
    }
    return await inner.jobs.replace(id, next, cancel)
  }
  const world = await newWorld({ jobStore: { ...inner, jobs: { ...inner.jobs, replace } } })
  const vm = addVm(world)
  const engine = newEngine(world)
  const job = await backUpOne(engine)
  expect(job.outcome).toMatchObject({ kind: 'failed', code: 'state-record-too-large' })
  expect(job.attempt).toBe(1)
  expect(refused).toBe(1)
  expect(vm.snapshots).toEqual([])
  await expectRest(engine)
})
