// pyVmomi, an independent client with its own type tables, against the simulated vCenter.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { type SimProgram, startSimProgram } from '../sim/api/sim-program.ts'

const run = promisify(execFile)

describe.skipIf(peerSkip('pyvmomi'))('the simulated vCenter, asked by pyVmomi', () => {
  it('takes a backup’s calls: login, list, change tracking, snapshots, changed areas, removal, logout', async () => {
    await using sim = await startSimProgram('--estate', 'small', '--guest-write-every-ms', '20')

    const seen = await python(sim, 'sim_pyvmomi.py')
    expect(seen).toMatchObject({
      wrongPassword: 'vim.fault.InvalidLogin',
      names: ['app-01', 'cold-01', 'db-01'],
      changeTracking: true,
      taskEntity: true,
      bogusChangeId: 'vim.fault.FileFault',
      atCapacity: 'startOffset',
      tree: ['stun', 'first', 'second', 'quiesced'],
      snapshotsLeft: false,
      consolidationNeeded: false,
      goneSnapshot: 'vmodl.fault.ManagedObjectNotFound',
      found: true,
      user: sim.user,
      privileges: [true, false],
      afterLogout: 'vim.fault.NotAuthenticated',
    })
    const changeIds = seen['changeIds'] as readonly (string | null)[]
    expect(changeIds[0]).toBeNull()
    expect(changeIds.slice(1)).toEqual(
      changeIds.slice(1).map(() => expect.stringMatching(/^52( [0-9a-f]{2}){7}-.*\/\d+$/)),
    )
    expect(new Set(seen['snapshotFiles'] as readonly string[]).size).toBe(4)
    expect(seen['full']).not.toEqual([])
    expect(seen['incremental']).not.toEqual([])
  })

  it('shows only what the API declares, in its order, with every required field and every type', async () => {
    await using sim = await startSimProgram('--estate', 'small')

    const seen = await python(sim, 'sim_schema.py')
    expect(seen['faults']).toEqual([])
    expect(seen['elements']).toBeGreaterThan(3000)
  })
})

async function python(sim: SimProgram, script: string): Promise<Record<string, unknown>> {
  const path = join(import.meta.dirname, script)
  const { stdout } = await run(requirePeer('pyvmomi'), [path, String(sim.port), sim.user, sim.password])
  return JSON.parse(stdout) as Record<string, unknown>
}
