// pyVmomi, an independent client with its own type tables, against the simulated vCenter.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
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

  it('takes guest operations and quiesced Windows snapshots', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'coldframe-guests-'))
    await using sim = await startSimProgram('--estate', 'demo', '--guest-programs', directory)

    const seen = await python(sim, 'sim_guests.py', 'backup', 'only-for-the-demo')
    expect(seen).toMatchObject({
      ready: true,
      nics: [
        ['VM Network', 4000, ['192.0.2.11', 'fe80::250:56ff:fe00:11'], expect.any(String)],
        ['backend', 4001, ['198.51.100.11'], expect.any(String)],
        [null, -1, ['172.17.0.1'], '02:42:7c:31:5a:01'],
      ],
      wrongPassword: 'vim.fault.InvalidGuestLogin',
      noParent: 'vim.fault.FileNotFound',
      twice: 'vim.fault.FileAlreadyExists',
      outside: 'vim.fault.GuestPermissionDenied',
      hosts: ['*', '*', '*', '*'],
      shortBody: 400,
      upload: 200,
      again: 404,
      exists: 'vim.fault.FileAlreadyExists',
      program: [3, true, true, 'a script.sh'],
      download: [200, 'it is done\n', 11],
      listed: [['.', 'directory'], ['..', 'directory'], ['a script.sh', 'file'], 1],
      matched: [['a script.sh', 33, '0o750']],
      notEmpty: 'vim.fault.DirectoryNotEmpty',
      running: true,
      terminated: true,
      noProcess: 'vim.fault.GuestProcessNotFound',
      environment: ['HOME', 'TMPDIR'],
      gone: 'vim.fault.FileNotFound',
      powerState: 'vim.fault.InvalidPowerState',
      unavailable: 'vim.fault.GuestOperationsUnavailable',
      windowsProgram: 'vim.fault.GuestOperationsUnavailable',
      windowsFolder: 'C:\\Windows\\Temp\\',
      snapshot: [true, 'mail-01-vss_manifests1.zip'],
      timeout: 'vmodl.fault.InvalidArgument',
      manifest: 200,
      members: ['backup.xml', 'writer0.xml', 'writer1.xml', 'writer2.xml'],
      roots: ['{x-schema:#VssComponentMetadata}BACKUP_COMPONENTS', '{x-schema:#VssWriterMetadataInfo}WRITER_METADATA'],
      writers: ['Microsoft Exchange Writer', 'System Writer', 'Registry Writer'],
      manifestGone: 404,
    })
  })

  it.skipIf(peerSkip('qemu-img'))('exports the disks of a snapshot through a lease', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'coldframe-export-'))
    await using sim = await startSimProgram('--estate', 'small', '--guest-write-every-ms', '20')

    const { disks, ...seen } = await python(sim, 'sim_export.py', 'app-01', folder)
    expect(seen).toEqual({
      running: 'InvalidPowerState',
      state: 'ready',
      timeout: 300,
      notDisks: ['nvram'],
      manifest: true,
      after: 'done',
      progressAfter: 'InvalidState',
      aborted: 'error',
    })
    const frozen = (await (await fetch(`${sim.controlUrl}/frozen`)).json()) as readonly {
      readonly snapshot: string
      readonly disks: readonly { readonly deviceKey: number; readonly sha256: string }[]
    }[]
    const kept = frozen.find(({ snapshot }) => snapshot === 'export')?.disks ?? []
    expect(Object.keys(disks as object).map(Number)).toEqual(kept.map(({ deviceKey }) => deviceKey))
    for (const { deviceKey, sha256 } of kept) {
      const vmdk = (disks as Readonly<Record<string, string>>)[String(deviceKey)] ?? ''
      await run(requirePeer('qemu-img'), ['convert', '-f', 'vmdk', '-O', 'raw', vmdk, `${vmdk}.raw`])
      expect(
        createHash('sha256')
          .update(readFileSync(`${vmdk}.raw`))
          .digest('hex'),
      ).toBe(sha256)
    }
    rmSync(folder, { recursive: true })
  })

  it('tells which privileges an account lacks, and refuses what needs them', async () => {
    const denied = [
      'VirtualMachine.State.CreateSnapshot@app-01',
      'VirtualMachine.Config.ChangeTracking',
      'VirtualMachine.State.RemoveSnapshot@db-01',
      'VirtualMachine.Provisioning.DiskRandomRead@DC1',
      'Datastore.Browse@ds1',
      'VApp.Export@db-01',
    ]
    await using sim = await startSimProgram('--estate', 'small', ...denied.flatMap((one) => ['--deny', one]))

    expect(await python(sim, 'sim_rights.py')).toEqual({
      bySession: [
        [false, false],
        [true, false],
      ],
      byUser: [
        [false, false],
        [true, false],
      ],
      stranger: [[false, false]],
      snapshot: true,
      tracking: true,
      trackingBelow: true,
      removal: true,
      areas: true,
      export: true,
      folder: 403,
    })
  })

  it('takes what others do meanwhile: other hosts, other datastores, larger disks, "Delete All"', async () => {
    await using sim = await startSimProgram('--estate', 'small')

    expect(await python(sim, 'sim_moves.py')).toEqual({
      otherHost: '[ds1] app-01/app-01.vmx',
      moved: ['[ds2] app-01/app-01.vmx', '[ds2] app-01/app-01.vmdk', '[ds2] app-01/app-01-000001.vmdk', 'ds2'],
      transform: 'vmodl.fault.NotSupported',
      underSnapshot: 'vim.fault.GenericVmConfigFault',
      snapshots: false,
      grown: 8 * 1024 * 1024,
      gone: 'vmodl.fault.ManagedObjectNotFound',
    })
  })

  it('tells the read latency of datastores as real-time counters', async () => {
    await using sim = await startSimProgram('--estate', 'small')
    const act = (body: object) =>
      fetch(`${sim.controlUrl}/machines/app-01/read-latency`, { method: 'POST', body: JSON.stringify(body) })
    expect((await act({ datastore: 'ds1', readMs: 45, missed: 1 })).status).toBe(200)
    expect((await act({ datastore: 'ds9', readMs: 45 })).status).toBe(409)

    expect(await python(sim, 'sim_perf.py')).toEqual({
      unit: ['millisecond', 'average', 'absolute'],
      host: [true, 20],
      machine: false,
      series: { ds1: [45, 45, -1], ds2: null },
      times: [20, 20],
      everything: ['ds1'],
      counter: 'querySpec.metricId',
      interval: 'querySpec.intervalId',
      entity: 'querySpec.entity',
      csv: 'vmodl.fault.NotSupported',
      gone: 'vmodl.fault.ManagedObjectNotFound',
    })
  })

  it('shows only what the API declares, in its order, with every required field and every type', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'coldframe-guests-'))
    await using sim = await startSimProgram('--estate', 'demo', '--guest-programs', directory)

    const seen = await python(sim, 'sim_schema.py')
    expect(seen['faults']).toEqual([])
    expect(seen['elements']).toBeGreaterThan(3000)
  })
})

async function python(sim: SimProgram, script: string, ...more: readonly string[]): Promise<Record<string, unknown>> {
  const path = join(import.meta.dirname, script)
  const { stdout } = await run(requirePeer('pyvmomi'), [path, String(sim.port), sim.user, sim.password, ...more])
  return JSON.parse(stdout) as Record<string, unknown>
}
