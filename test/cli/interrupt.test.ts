// Ctrl-C: the command ends, the job does not; resume ends it.

import { expect, it } from 'vitest'
import { type BackupData, jobsOf, openHome, openSim, snapshotsIn } from '../flow/kit.ts'
import { coldframe } from './coldframe.ts'

it('Ctrl-C ends with 130 and says what is not done; resume ends it and leaves no snapshot', {
  timeout: 120_000,
}, async () => {
  await using sim = await openSim('--estate', 'small', '--change-tracking', '--snapshot-ms', '3000')
  await using home = await openHome(sim)
  const running = home.start(['backup', '--vm', 'db-01'])
  while ((await jobsOf(home)).length === 0) await new Promise((resolve) => setTimeout(resolve, 50))
  running.child.kill('SIGINT')
  const { exitCode, document } = await running.ended
  expect({ exitCode, code: document?.error?.code }).toEqual({ exitCode: 130, code: 'interrupted' })
  expect(document?.error?.message).toMatch(/^Interrupted; not done yet: db-01 \(/)

  const resumed = await home.run<BackupData>(['resume'])
  expect(resumed).toMatchObject({ exitCode: 0, document: { data: { jobs: [{ outcome: { kind: 'success' } }] } } })
  expect(await snapshotsIn(sim)).toEqual([])
  expect(await coldframe(['resume'], home)).toMatchObject({ exitCode: 0, stdout: 'Nothing is left to do\n' })
})
