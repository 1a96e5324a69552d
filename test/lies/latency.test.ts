// A datastore that becomes slow in the middle of a read, over SOAP: the backup halves its pace, and stores the same bytes.

import { expect, it } from 'vitest'
import { openLieWorld, VM } from './world.ts'

it('a read whose datastore becomes slow goes on at half its pace, and stores what the snapshot froze', async () => {
  await using world = await openLieWorld({ seed: 11, latencyEveryMs: 200 })
  const when = { kind: 'nth', nth: 2 } as const
  const slow = { kind: 'action', vm: VM, action: 'read-latency', body: { datastore: 'ds1', readMs: 45 } } as const
  world.scenario.arm({ call: '/folder range', when, times: 1, mishap: slow })
  // Long enough for a look at it.
  world.scenario.arm({ call: '/folder range', when, times: 1, mishap: { kind: 'delay', delayMs: 300 } })

  const job = await world.product.backUp(VM, {})
  expect(job.outcome?.kind).toBe('success')
  expect(world.scenario.failures()).toEqual([])
  const paces = world.product.log.lines.filter(({ event }) => event === 'pace.changed')
  expect(paces[0]).toMatchObject({ facts: { readMs: 45, percent: 50 } })
  const [point] = await world.product.points()
  if (point === undefined) throw new Error('There is no point')
  expect(await world.wrongDisks(point)).toEqual([])
})
