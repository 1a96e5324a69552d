// A run that asks for everything anew gives jobs that continue no earlier point.

import { expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { requestRun } from '../../lib/doors/request-run.ts'
import { allPoints, backUpOne, expectRest } from './backups.ts'
import type { Process } from './chaos.ts'
import { isOver, newEngine, turnUntil } from './engine.ts'
import { addVm, cancel, newWorld, policyWith } from './world.ts'

it('a run asked to be full continues nothing, from the request to the point', async () => {
  const world = await newWorld()
  addVm(world, { diskBytes: [192 * KiB] })
  const engine = newEngine(world)
  await backUpOne(engine)
  const process: Process = { name: 'door', stop: new AbortController(), dead: false, onDeath: () => undefined }
  const asked = { door: 'api', policy: policyWith(), vms: ['db-1'], full: true, key: 'full' } as const
  const id = await requestRun(asked, world.depsOf(process), cancel)
  await turnUntil(engine, () => isOver(world, id))
  await backUpOne(engine)
  expect((await allPoints(world)).map(({ envelope }) => envelope.parentSequence)).toEqual([null, null, 2])
  await expectRest(engine)
})
