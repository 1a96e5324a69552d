// Windows guests: VSS through VMware Tools needs no connection to the guest; its manifest is the proof, its writers the evidence.

import { describe, expect, it } from 'vitest'
import { memoryGuestChannel } from '../../../lib/adapters/memory/guest-channel.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { parseMoref, parseVmId } from '../../../lib/model/ids.ts'
import { defaultPolicy, type Policy } from '../../../lib/model/policy.ts'
import type { ProgramRequest } from '../../../lib/ports/guest.ts'
import { dynamicDiskNotices } from '../../../lib/stages/guest/dynamic-disks.ts'
import { credentialsOf } from '../../kit/guest-credentials.ts'
import { backUpOne, expectRest, pointOfJob } from '../backups.ts'
import { newEngine } from '../engine.ts'
import { addVm, cancel, newWorld, policyWith, type World } from '../world.ts'

const MANIFEST = { bytes: new Uint8Array([80, 75, 5, 6]), writers: ['Microsoft Exchange Writer', 'System Writer'] }

const NOBODY = {
  moref: parseMoref('vm-1'),
  vmId: parseVmId('50000000-0000-4000-8000-000000000001'),
  datacenter: 'DC',
}

async function windowsWorld() {
  const world = await newWorld()
  const vm = addVm(world)
  vm.family = 'windows'
  vm.vssManifest = MANIFEST
  return { world, vm, engine: newEngine(world) }
}

function application(change: Partial<Policy['consistency']> = {}, guest: Partial<Policy['guest']> = {}): Policy {
  const base = defaultPolicy()
  return policyWith({
    consistency: { ...base.consistency, want: 'application', ...change },
    guest: { ...base.guest, ...guest },
  })
}

const VSSADMIN = 'C:\\Windows\\System32\\vssadmin.exe'
const WRITERS = "Writer name: 'SqlServerWriter'\n   State: [8] Failed\n   Last error: Non-retryable error\n"

/** A guest that answers over WinRM and knows vssadmin. */
function withWinrm(world: World, programs: readonly (readonly [string, string])[]): ProgramRequest[] {
  const ran: ProgramRequest[] = []
  const run = (stdout: string) => async (asked: ProgramRequest) => {
    ran.push(asked)
    return { exitCode: 0, timedOut: false, stdout, stderr: '' }
  }
  const channel = memoryGuestChannel({
    user: 'Administrator',
    elevated: true,
    files: new Map(),
    programs: new Map(programs.map(([program, stdout]) => [program, run(stdout)])),
  })
  world.guests = {
    probe: async (doors) => doors.map(() => ({ kind: 'answers', elapsedMs: 1 })),
    openSsh: () => Promise.reject(new BackupError('No sshd', { code: 'guest-unreachable' })),
    openWinrm: async () => ({ channel: { ...channel, kind: 'winrm' }, seen: 'ab'.repeat(32), warnings: [] }),
  }
  const certificates = ['ab'.repeat(32)]
  world.accounts.set('account', credentialsOf('Administrator', { password: 'secret', certificates }))
  return ran
}

describe('VSS', () => {
  it('gives grade application with the manifest kept, and opens no connection to the guest', async () => {
    const { world, engine } = await windowsWorld()
    const job = await backUpOne(engine, { policy: application({ require: 'application' }) })
    expect(job.outcome).toMatchObject({ kind: 'success' })
    expect((await pointOfJob(world, job))?.body.grade).toMatchObject({
      reached: 'application',
      method: 'windows-vss',
      quiesced: true,
      proof: {
        family: 'windows',
        attempts: [],
        vss: {
          context: 'ctx_backup',
          backupType: 'copy',
          writers: MANIFEST.writers,
          manifestBase64: Buffer.from(MANIFEST.bytes).toString('base64'),
          absence: null,
        },
      },
    })
    await expectRest(engine)
  })

  it('without a manifest counts as filesystem, and is refused where application is required', async () => {
    const { world, vm, engine } = await windowsWorld()
    vm.vssManifest = null
    const job = await backUpOne(engine, { policy: application() })
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'grade-lower' })
    const grade = (await pointOfJob(world, job))?.body.grade
    expect(grade).toMatchObject({ reached: 'filesystem', method: 'tools', proof: { vss: { manifestBase64: null } } })
    expect(grade?.fallbacks[0]).toContain('no VSS manifest')
    const required = await backUpOne(engine, { policy: application({ require: 'application' }) })
    expect(required.outcome).toMatchObject({ kind: 'failed', code: 'grade-not-reached' })
    await expectRest(engine)
  })

  it('whose manifest names no writer proves nothing', async () => {
    const { world, vm, engine } = await windowsWorld()
    vm.vssManifest = { ...MANIFEST, writers: [] }
    const job = await backUpOne(engine, { policy: application() })
    expect((await pointOfJob(world, job))?.body.grade).toMatchObject({ reached: 'filesystem' })
  })

  it('that fails goes down the ladder, with the state of the writers attached to the job', async () => {
    const { world, vm, engine } = await windowsWorld()
    vm.ipAddresses = ['192.0.2.7']
    const ran = withWinrm(world, [[VSSADMIN, WRITERS]])
    vm.mishaps.quiesceFails = 3
    const policy = application({}, { mode: 'try', credentials: 'account' })
    const job = await backUpOne(engine, { policy })
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'grade-lower' })
    expect(job.evidence).toEqual([{ name: 'vssadmin list writers', text: WRITERS }])
    expect(ran.map(({ args, elevated }) => ({ args, elevated }))).toEqual([
      { args: ['list', 'writers'], elevated: true },
    ])
    expect((await pointOfJob(world, job))?.body.grade).toMatchObject({ reached: 'filesystem' })
    await expectRest(engine)
  })

  it('that fails says so where the writers cannot be asked, and asks nobody with guest processing off', async () => {
    const { world, vm, engine } = await windowsWorld()
    vm.mishaps.quiesceFails = 3
    withWinrm(world, [])
    vm.ipAddresses = ['192.0.2.7']
    const job = await backUpOne(engine, { policy: application({}, { mode: 'try', credentials: 'account' }) })
    expect(job.evidence[0]?.text).toMatch(/^Not collected/)
    vm.mishaps.quiesceFails = 3
    const off = await backUpOne(engine, { policy: application({}, { mode: 'off', credentials: 'account' }) })
    expect(off.evidence).toEqual([])
  })
})

describe('dynamic disks', () => {
  const { vm, policy } = { vm: { name: 'mail-01' }, policy: application() }
  const job = { vm: { ...NOBODY, ...vm }, policy }

  function windows(answer: { readonly exitCode: number; readonly stdout: string } | null) {
    const run = async () => ({ timedOut: false, stderr: '', ...(answer ?? { exitCode: 0, stdout: '' }) })
    const programs = new Map(answer === null ? [] : [['powershell.exe', run]])
    const channel = memoryGuestChannel({ user: 'Administrator', elevated: true, files: new Map(), programs })
    return { ...channel, family: 'windows' as const }
  }

  it('are named, as the guest numbers them', async () => {
    const notices = await dynamicDiskNotices(windows({ exitCode: 0, stdout: '1\r\n3\r\n' }), job, cancel)
    expect(notices).toMatchObject([{ code: 'vss-dynamic-disks', message: expect.stringContaining('disk 1, disk 3') }])
  })

  it('are not said of a guest that has none, cannot tell, or is not asked for applications', async () => {
    for (const answer of [{ exitCode: 0, stdout: '' }, { exitCode: 1, stdout: 'error 5' }, null])
      expect(await dynamicDiskNotices(windows(answer), job, cancel)).toEqual([])
    const other = { ...job, policy: policyWith() }
    expect(await dynamicDiskNotices(windows({ exitCode: 0, stdout: '1' }), other, cancel)).toEqual([])
  })
})
