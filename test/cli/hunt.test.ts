// coldframe hunt and coldframe release as people and programs run them, against the simulator.

import { describe, expect, it } from 'vitest'
import type { HuntReport } from '../../lib/stages/hunt.ts'
import { backUp, openHome, openSim, snapshotsIn } from '../flow/kit.ts'
import { coldframe } from './coldframe.ts'

describe('coldframe hunt', () => {
  it('only looks when told to, has disks consolidated, and leaves snapshots of others alone', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    await sim.act('app-01', 'snapshot', { name: 'before the update' })
    await sim.act('app-01', 'snapshot', { name: 'gone' })
    await sim.act('app-01', 'remove-snapshot', { name: 'gone', consolidate: false })

    const seen = await home.run<HuntReport>(['hunt', '--dry-run'])
    expect(seen.exitCode).toBe(0)
    expect(seen.document?.data).toMatchObject({
      findings: [{ vm: { name: 'app-01' }, outcome: 'not-tried', disks: 'its disks need consolidation' }],
      unread: [],
    })
    expect((await sim.machines()).find(({ name }) => name === 'app-01')?.consolidationNeeded).toBe(true)
    const people = await coldframe(['hunt'], { folder: home.folder, environment: home.environment })
    expect(people.exitCode).toBe(0)
    expect(people.stdout).toMatch(/^app-01 \(vm-\d+\): mended\n {2}its disks need consolidation\n\d+ VMs looked at, 1 /)
    expect((await sim.machines()).find(({ name }) => name === 'app-01')?.consolidationNeeded).toBe(false)
    expect(await snapshotsIn(sim)).toHaveLength(1)
    const again = await coldframe(['hunt'], { folder: home.folder, environment: home.environment })
    expect(again.stdout).toMatch(/^\d+ VMs looked at, nothing to mend\n$/)
  })
})

describe('coldframe release', () => {
  it('says that there is nothing, finds no VM that is not there, and needs a name', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    await backUp(home, ['app-01'])
    const people = await coldframe(['release', '--vm', 'app-01'], {
      folder: home.folder,
      environment: home.environment,
    })
    expect(people).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^VM "app-01" \(vm-\d+\) has nothing of ours\n$/),
    })
    const unknown = await home.run(['release', '--vm', 'app-1'])
    expect(unknown).toMatchObject({ exitCode: 3, document: { error: { code: 'vm-not-found' } } })
    expect((await home.run(['release'])).exitCode).toBe(2)
  })
})
