// The VSS manifest of a quiesced snapshot, from the simulator's Windows guest and from what a scripted server says.

import { zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { parseMoref } from '../../../lib/model/ids.ts'
import type { Quiesce, VsphereSession } from '../../../lib/ports/vsphere.ts'

import { openScripted, returned } from './scripted-vcenter.ts'
import { openSimVcenter } from './sim-vcenter.ts'
import { plainAccount } from './vix-kit.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }
const windows: Quiesce = { kind: 'windows', timeoutMinutes: 5, context: 'ctx_auto', backupType: 'copy' }

async function withWindows(
  act: (vm: {
    session: VsphereSession
    sim: Awaited<ReturnType<typeof openSimVcenter>>
    moref: ReturnType<typeof parseMoref>
  }) => Promise<void>,
): Promise<void> {
  await using sim = await openSimVcenter({ accounts: [plainAccount] })
  await using session = await openVsphere(sim.settings).open(cancel)
  const vm = (await session.listVms(cancel)).find(({ name }) => name === 'win-01')
  if (vm === undefined) throw new Error('no VM')
  await act({ session, sim, moref: vm.moref })
}

describe('the manifest of a snapshot that VSS quiesced', () => {
  for (const manifestPath of ['relative', 'datastore'] as const) {
    it(`is read where vCenter says that it lies (${manifestPath} path), with its writers`, () =>
      withWindows(async ({ session, sim, moref }) => {
        const [machine] = sim.estate.named('win-01')
        if (machine === undefined) throw new Error('no machine')
        const writers = ['System Writer', 'SqlServerWriter', 'Grüße & <Co>']
        machine.quiescing.vss = { ...machine.quiescing.vss, manifestPath, writers }
        await session.createSnapshot({ vm: moref, name: 'vss', description: '', quiesce: windows }, cancel)
        const [snapshot] = (await session.readVm(moref, cancel)).snapshots
        expect(snapshot).toMatchObject({
          quiesced: true,
          backupManifest: expect.stringMatching(/vss_manifests\d+\.zip$/),
        })
        const asked = { vm: moref, manifest: snapshot?.backupManifest ?? '', bytesMax: 1024 * 1024 }
        const manifest = await session.readVssManifest(asked, cancel)
        expect(manifest.writers).toEqual(writers.toSorted())
        expect(Buffer.from(manifest.bytes.subarray(0, 2)).toString()).toBe('PK')
        await expect(session.readVssManifest({ ...asked, bytesMax: 100 }, cancel)).rejects.toMatchObject({
          code: 'vss-manifest-large',
          facts: { bytesMax: 100 },
        })
      }))
  }

  it('is not named for a snapshot that nothing quiesced', () =>
    withWindows(async ({ session, moref }) => {
      await session.createSnapshot({ vm: moref, name: 'plain', description: '', quiesce: { kind: 'none' } }, cancel)
      const [snapshot] = (await session.readVm(moref, cancel)).snapshots
      expect(snapshot).toMatchObject({ quiesced: false, backupManifest: null })
    }))

  it('that is not there is missing, and outside the snapshot directory nothing is read', () =>
    withWindows(async ({ session, moref }) => {
      const read = (manifest: string) => session.readVssManifest({ vm: moref, manifest, bytesMax: 1000 }, cancel)
      await expect(read('none-vss_manifests7.zip')).rejects.toMatchObject({
        code: 'vss-manifest-missing',
        kind: 'not-found',
      })
      await expect(read('../other/x.zip')).rejects.toMatchObject({ code: 'malformed' })
      const gone = { vm: parseMoref('vm-999999'), manifest: 'x.zip', bytesMax: 1000 }
      await expect(session.readVssManifest(gone, cancel)).rejects.toMatchObject({ code: 'vm-not-found' })
    }))
})

describe('where the manifest lies', () => {
  const document = '<BACKUP_COMPONENTS><WRITER_COMPONENTS instanceId="{1}" writerId="{2}"/></BACKUP_COMPONENTS>'
  const zip = zipSync({ 'backup.xml': Buffer.from(document) })
  const property = (name: string, value: string) =>
    `<propSet><name>config.files.${name}</name><val xsi:type="xsd:string">${value}</val></propSet>`

  it.each([
    ['the snapshot directory', property('snapshotDirectory', '[ds 2] snaps/app/'), '/folder/snaps/app/m.zip', 'ds%202'],
    ['one at the top of a datastore', property('snapshotDirectory', '[ds]'), '/folder/m.zip', 'ds'],
    [
      "the VM's own directory, where no other is set",
      property('vmPathName', '[ds] a/b/a.vmx'),
      '/folder/a/b/m.zip',
      'ds',
    ],
  ])('is %s', async (_name, properties, path, datastore) => {
    const urls: string[] = []
    await using vcenter = await openScripted({
      RetrievePropertiesEx: () =>
        returned(
          'RetrievePropertiesEx',
          `<returnval><objects><obj type="VirtualMachine">vm-1</obj>${properties}</objects></returnval>`,
        ),
      [`GET ${path}`]: ({ url }) => {
        urls.push(url)
        return { body: zip }
      },
    })
    await using session = await openVsphere(vcenter.settings).open(cancel)
    const asked = { vm: parseMoref('vm-1'), manifest: 'm.zip', bytesMax: 10_000 }
    expect((await session.readVssManifest(asked, cancel)).writers).toEqual(['{2}'])
    expect(urls).toEqual([expect.stringContaining(`dsName=${datastore}`)])
  })

  it('is told from a file that is no manifest', async () => {
    await using vcenter = await openScripted({
      RetrievePropertiesEx: () =>
        returned(
          'RetrievePropertiesEx',
          `<returnval><objects><obj type="VirtualMachine">vm-1</obj>${property('snapshotDirectory', '[ds] a')}</objects></returnval>`,
        ),
      'GET /folder/a/m.zip': () => ({ body: '<html>log in</html>' }),
    })
    await using session = await openVsphere(vcenter.settings).open(cancel)
    const reading = session.readVssManifest({ vm: parseMoref('vm-1'), manifest: 'm.zip', bytesMax: 10_000 }, cancel)
    await expect(reading).rejects.toMatchObject({ code: 'vss-manifest-malformed' })
  })
})
