// How a snapshot of a Windows guest is asked for, and what its failures mean.

import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { parseMoref } from '../../../lib/model/ids.ts'
import type { Quiesce } from '../../../lib/ports/vsphere.ts'
import { fault, openScripted } from './scripted-vcenter.ts'
import { openSimVcenter } from './sim-vcenter.ts'
import { plainAccount } from './vix-kit.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }
const plain = { kind: 'windows', timeoutMinutes: 5, context: 'ctx_auto', backupType: 'copy' } as const

async function askedWith(quiesce: Quiesce, answer = fault('MethodNotFound')) {
  await using vcenter = await openScripted({ CreateSnapshotEx_Task: () => answer })
  await using session = await openVsphere(vcenter.settings).open(cancel)
  const request = { vm: parseMoref('vm-1'), name: 'n', description: 'd', quiesce }
  const error = await session.createSnapshot(request, cancel).catch((failure: unknown) => failure)
  return { error, body: vcenter.asked.find(({ call }) => call === 'CreateSnapshotEx_Task')?.body ?? '' }
}

describe('a snapshot that VSS quiesces', () => {
  it.each([
    [{ ...plain, backupType: 'copy' } as const, { timeout: 5, type: 5, context: 'ctx_auto' }],
    [
      { ...plain, backupType: 'full', context: 'ctx_backup', timeoutMinutes: 240 } as const,
      { timeout: 240, type: 1, context: 'ctx_backup' },
    ],
  ])('is asked for with its specification, in schema order: %j', async (quiesce, { timeout, type, context }) => {
    const { body } = await askedWith(quiesce)
    const elements = [
      `<timeout>${timeout}</timeout>`,
      `<vssBackupType>${type}</vssBackupType>`,
      '<vssBootableSystemState>true</vssBootableSystemState>',
      '<vssPartialFileSupport>false</vssPartialFileSupport>',
      `<vssBackupContext>${context}</vssBackupContext>`,
    ]
    expect(body.replaceAll(/<(\/?)\w+:/g, '<$1')).toContain(elements.join(''))
    expect(body).toMatch(/quiesceSpec xsi:type="(?:\w+:)?VirtualMachineWindowsQuiesceSpec"/)
    expect(body).toMatch(/memory>false</)
  })

  it.each([4, 241, 5.5])(
    'is not asked for with a time limit of %d minutes, which servers refuse',
    async (timeoutMinutes) => {
      const { error, body } = await askedWith({ ...plain, timeoutMinutes })
      expect(String(error)).toContain('5 to 240 minutes')
      expect(body).toBe('')
    },
  )

  it('that the server cannot make this way is a failure to quiesce, a missing right is not', async () => {
    for (const name of ['MethodNotFound', 'NotSupported'])
      expect((await askedWith(plain, fault(name))).error).toMatchObject({
        code: 'snapshot-quiesce-failed',
        facts: { fault: name },
      })
    const denied = fault('NoPermission', '<object type="VirtualMachine">vm-1</object><privilegeId>p</privilegeId>')
    expect((await askedWith(plain, denied)).error).toMatchObject({ code: 'vcenter-permission' })
  })

  it('fails with the writer that failed, and with none where applications cannot be quiesced and must be', async () => {
    await using sim = await openSimVcenter({ accounts: [plainAccount] })
    const [machine] = sim.estate.named('win-01')
    if (machine === undefined) throw new Error('no machine')
    await using session = await openVsphere(sim.settings).open(cancel)
    const { moref } = (await session.listVms(cancel)).find(({ name }) => name === 'win-01') ?? {}
    if (moref === undefined) throw new Error('no VM')
    const take = (quiesce: Quiesce) =>
      session.createSnapshot({ vm: moref, name: 'n', description: '', quiesce }, cancel)
    const failed = { code: 'snapshot-quiesce-failed', retry: 'later', facts: { fault: 'ApplicationQuiesceFault' } }
    machine.quiescing.vss = { ...machine.quiescing.vss, health: 'failing-writer', failingWriter: 'SqlServerWriter' }
    await expect(take(plain)).rejects.toMatchObject({ ...failed, message: expect.stringContaining('SqlServerWriter') })
    machine.quiescing.vss = { ...machine.quiescing.vss, health: 'no-app-quiesce' }
    await expect(take({ ...plain, context: 'ctx_backup' })).rejects.toMatchObject(failed)
    // ctx_auto falls back to file systems and says nothing of it: only the manifest, which is not there, tells.
    await take(plain)
    expect((await session.readVm(moref, cancel)).snapshots).toMatchObject([{ quiesced: true, backupManifest: null }])
  })
})
