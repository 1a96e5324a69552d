// An alarm from the simulated vCenter's event log to a restore point under suspicion, and back, with the real engine and commands.

import { expect, it } from 'vitest'
import { sqliteJobStore } from '../../lib/adapters/local/job-store.ts'
import { openState } from '../../lib/adapters/local/state.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { statePathOf } from '../../lib/compose/local-places.ts'
import type { AlarmRecord } from '../../lib/model/alarm.ts'
import { coldframe } from '../cli/coldframe.ts'
import { alarmPolicy, applyPolicy } from '../stages/alarms.ts'
import { backUp, openHome, openSim } from './kit.ts'

const cancel = { signal: AbortSignal.timeout(120_000) }

it('an alarm that vCenter’s log tells of backs its VM up, and its points are suspect until somebody has looked', {
  timeout: 120_000,
}, async () => {
  await using sim = await openSim('--estate', 'small', '--snapshot-ms', '20')
  await using home = await openHome(sim)
  const say = async (...args: readonly string[]) => (await coldframe(args, home)).stdout
  const path = statePathOf(home.environment['COLDFRAME_HOME'] ?? '')
  {
    using state = await openState({ path, clock: systemClock, random: systemRandom }, cancel)
    const rules = [{ alarm: 'Ransom*', action: 'backup+quarantine' }] as const
    await applyPolicy({ jobStore: sqliteJobStore(state) }, { ...alarmPolicy({ rules }), transport: ['datastore'] })
  }
  // The engine notes where the log ends, and reads on from there when it runs again.
  await backUp(home, ['app-01'])
  await sim.act('app-01', 'raise-alarm', { name: 'CPU usage' })
  await sim.act('app-01', 'raise-alarm', { name: 'Ransomware suspected' })
  await backUp(home, ['db-01'])
  await coldframe(['resume'], home)

  const { document } = await home.run<{ readonly alarms: readonly AlarmRecord[] }>(['alarms'])
  expect(document?.data?.alarms).toMatchObject([
    {
      alarm: { source: 'vcenter-events', alarmName: 'Ransomware suspected', target: { name: 'app-01' } },
      decision: { kind: 'acted', code: 'run-started', action: 'backup+quarantine' },
    },
  ])
  expect(await say('alarms')).toMatch(
    /Ransomware suspected +red +app-01 +backup\+quarantine +run-started: A backup of /,
  )
  const points = await say('points', '--vm', 'app-01')
  expect(points).toMatch(
    /^app-01@2: SUSPECT: VM "app-01" is in quarantine since .*, for alarm "Ransomware suspected"$/m,
  )
  expect(points).not.toContain('app-01@1: SUSPECT')
  expect(points).toMatch(/^app-01: HOLD: no restore point is let go since /m)
  expect(await say('jobs')).toMatch(/app-01 .*warning/)

  expect(await say('quarantine', '--vm', 'app-01')).toMatch(/^VM "app-01" is in quarantine since .*@2: SUSPECT: /s)
  for (const half of [['--lift'], ['--reason', 'x'], ['--lift', '--reason', ' ']])
    expect((await coldframe(['quarantine', '--vm', 'app-01', ...half], home)).exitCode).toBe(2)
  expect((await coldframe(['quarantine', '--vm', 'nobody'], home)).exitCode).toBe(3)
  const lifted = await say('quarantine', '--vm', 'app-01', '--lift', '--reason', 'It was a test of ours')
  expect(lifted).toMatch(
    /^VM "app-01" is not in quarantine\nSuspected no more: @2\n.*lifted .* by .*: It was a test of ours/s,
  )
  const after = await say('points', '--vm', 'app-01')
  expect(after).not.toMatch(/SUSPECT|HOLD/)
})
