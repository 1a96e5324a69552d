// Changes of alarms over SOAP, from the simulated vCenter: in order, since a time of its own clock, in pages, over a session that ends.

import { expect, it } from 'vitest'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { openSimVcenter } from './sim-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }
const always = '2020-01-01T00:00:00.000Z'
const nothing: ReadonlySet<number> = new Set()

it('events of alarms come oldest first, about what changed, by the clock of the server', async () => {
  await using sim = await openSimVcenter({ clockOffsetMs: 3_600_000 })
  await using session = await openVsphere(sim.settings).open(cancel)

  const [placed] = sim.estate.machines()
  if (placed === undefined) throw new Error('no machine')
  const { machine } = placed
  sim.estate.alarms.raise({ machine, alarmName: 'A%2f1', from: 'green', to: 'yellow' })
  sim.estate.alarms.raise({ machine, alarmName: 'B', from: 'yellow', to: 'red' })
  const events = await session.readAlarmEvents({ since: always, known: nothing, limit: 10 }, cancel)
  expect(events).toMatchObject([
    { alarmName: 'A/1', from: 'green', to: 'yellow', entity: { name: machine.config.name, kind: 'VirtualMachine' } },
    { alarmName: 'B', from: 'yellow', to: 'red' },
  ])
  const vm = (await session.listVms(cancel)).find(({ name }) => name === machine.config.name)
  expect(events[0]?.entity.moref).toBe(vm?.moref)
  const now = await session.currentTime(cancel)
  expect(Math.abs(Date.parse(now) - Date.parse(events[1]?.createdAt ?? ''))).toBeLessThan(60_000)
  const since = events[1]?.createdAt ?? ''
  const known = new Set([events[0]?.key ?? 0])
  expect(await session.readAlarmEvents({ since, known, limit: 10 }, cancel)).toEqual([events[1]])
})

it('more events than a page has are read to their end, or to the limit', async () => {
  await using sim = await openSimVcenter()
  await using session = await openVsphere(sim.settings).open(cancel)

  const [placed] = sim.estate.machines()
  if (placed === undefined) throw new Error('no machine')
  const raise = () => sim.estate.alarms.raise({ machine: placed.machine, alarmName: 'A', from: 'green', to: 'red' })
  for (let event = 0; event < 450; event++) raise()
  const all = await session.readAlarmEvents({ since: always, known: nothing, limit: 1_000 }, cancel)
  expect(new Set(all.map(({ key }) => key)).size).toBe(450)
  const some = await session.readAlarmEvents({ since: always, known: nothing, limit: 300 }, cancel)
  expect(some).toEqual(all.slice(0, 300))
  // What is known counts for nothing.
  const known = new Set(some.map(({ key }) => key))
  expect(await session.readAlarmEvents({ since: always, known, limit: 300 }, cancel)).toEqual(all.slice(300))
})

it('a session that ended is opened again, and a busy server is asked again', async () => {
  await using sim = await openSimVcenter()
  await using session = await openVsphere(sim.settings).open(cancel)

  const [placed] = sim.estate.machines()
  if (placed === undefined) throw new Error('no machine')
  sim.estate.alarms.raise({ machine: placed.machine, alarmName: 'A', from: 'green', to: 'red' })
  sim.arm('ReadNextEvents', { kind: 'fault', fault: 'NotAuthenticated', message: 'The session ended' })
  expect(await session.readAlarmEvents({ since: always, known: nothing, limit: 10 }, cancel)).toHaveLength(1)
})
