// What the doctor says of nbdkit and VDDK: with the real nbdkit, and our own plugin in the place of VMware's.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Check } from '../../lib/operate/doctor/check.ts'
import { type Environment, openHome, openSim } from '../flow/kit.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'

describe.skipIf(peerSkip('nbdkit', 'vddk-plugin'))('coldframe doctor, of nbdkit and VDDK', () => {
  it('names versions and places, and what is not there', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    const vddk = join(home.folder, 'vddk')
    await mkdir(join(vddk, 'lib64'), { recursive: true })
    await writeFile(join(vddk, 'lib64', 'libvixDiskLib.so.8.0.3'), '')
    await writeFile(join(vddk, 'lib64', 'libvixDiskLib.so.8'), '')
    const policy = join(home.folder, 'policy.yaml')
    await writeFile(policy, 'name: san\ntransport: [san, datastore]\n')
    const stateOf = async (id: string, environment: Environment) => {
      const ended = await home.run<{ checks: readonly Check[] }>(['doctor', '--vm', 'app-01', '--policy', policy], {
        environment,
      })
      return ended.document?.data?.checks.find((check) => check.id === id)
    }
    const there = { COLDFRAME_VDDK: vddk, COLDFRAME_NBDKIT_PLUGIN: requirePeer('vddk-plugin') }
    expect(await stateOf('vddk.presence', there)).toMatchObject({
      state: 'ok',
      found: expect.stringContaining('VDDK 8.0.3'),
    })
    expect(await stateOf('vddk.versions', there)).toMatchObject({
      state: 'ok',
      found: expect.stringMatching(/^nbdkit 1\.\d+\.\d+, plugin /),
    })
    expect(await stateOf('vm.transport', there)).toMatchObject({
      state: 'ok',
      found: expect.stringMatching(/^san for /),
    })

    const noPlugin = { ...there, COLDFRAME_NBDKIT_PLUGIN: 'no-such-plugin' }
    expect(await stateOf('vddk.versions', noPlugin)).toMatchObject({ state: 'warning', code: 'nbdkit-plugin-missing' })
    expect(await stateOf('vm.transport', noPlugin)).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('no plugin'),
    })
    expect(await stateOf('vddk.presence', {})).toMatchObject({ state: 'warning', needed: 'for san' })
    expect(await stateOf('vm.transport', {})).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('COLDFRAME_VDDK'),
    })
  })
})
