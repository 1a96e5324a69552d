// virsh, libvirt's own client of the vSphere API in C, against the simulated vCenter.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { type SimProgram, startSimProgram } from '../sim/api/sim-program.ts'

const run = promisify(execFile)

describe.skipIf(peerSkip('virsh'))('the simulated vCenter, asked by virsh', () => {
  it('lists a host’s machines with their states', async () => {
    await using session = await openVirsh()

    const list = await session.virsh('list', '--all')
    expect(list).toMatch(/app-01\s+running/)
    expect(list).toMatch(/cold-01\s+shut off/)
    expect(list).not.toContain('db-01')
    expect((await session.virsh('domstate', 'cold-01')).trim()).toBe('shut off')
  })

  it('gives a .vmx that libvirt turns into a domain with disks, adapters and firmware', async () => {
    await using session = await openVirsh()

    const xml = await session.virsh('dumpxml', 'app-01')
    expect(xml).toContain("<source file='[ds1] app-01/app-01.vmdk'/>")
    expect(xml).toContain("<source file='[ds1] app-01/app-01_1.vmdk'/>")
    expect(xml).toContain("<os firmware='efi'>")
    expect(xml).toContain("<controller type='scsi' index='0' model='vmpvscsi'/>")
    expect(xml.match(/<model type='vmxnet3'\/>/g)).toHaveLength(2)
  })

  it('makes, lists and deletes a snapshot, and powers a machine off and on', async () => {
    await using session = await openVirsh()

    await session.virsh('snapshot-create-as', 'app-01', 'by-virsh', 'made in a test')
    expect(await session.virsh('snapshot-list', 'app-01')).toContain('by-virsh')
    await session.virsh('snapshot-delete', 'app-01', 'by-virsh')
    expect(await session.virsh('snapshot-list', 'app-01')).not.toContain('by-virsh')
    await session.virsh('destroy', 'app-01')
    expect((await session.virsh('domstate', 'app-01')).trim()).toBe('shut off')
    await session.virsh('start', 'app-01')
    expect((await session.virsh('domstate', 'app-01')).trim()).toBe('running')
  })

  it('is told when the password is wrong', async () => {
    await using session = await openVirsh({ password: 'wrong' })

    await expect(session.virsh('list')).rejects.toThrow(/incorrect user name or password/)
  })
})

type Virsh = AsyncDisposable & { virsh(...args: readonly string[]): Promise<string> }

async function openVirsh(options: { readonly password?: string } = {}): Promise<Virsh> {
  const sim: SimProgram = await startSimProgram('--estate', 'small')
  const folder = mkdtempSync(join(tmpdir(), 'coldframe-virsh-'))
  const credentials = join(folder, 'auth.conf')
  const lines = ['[credentials-sim]', `username=${sim.user}`, `password=${options.password ?? sim.password}`]
  writeFileSync(credentials, [...lines, '[auth-esx-127.0.0.1]', 'credentials=sim', ''].join('\n'), { mode: 0o600 })
  const user = encodeURIComponent(sim.user)
  const uri = `vpx://${user}@127.0.0.1:${sim.port}/DC1/cluster-1/esx-01.example?no_verify=1`
  return {
    virsh: async (...args) => {
      const env = { ...process.env, LIBVIRT_AUTH_FILE: credentials }
      const { stdout } = await run(requirePeer('virsh'), ['-q', '-c', uri, ...args], { env })
      return stdout
    },
    [Symbol.asyncDispose]: async () => {
      rmSync(folder, { recursive: true, force: true })
      await sim[Symbol.asyncDispose]()
    },
  }
}
