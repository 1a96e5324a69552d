// The doctor against vcsim, a vCenter that is not ours.

import { describe, expect, it } from 'vitest'
import type { Check } from '../../lib/operate/doctor/check.ts'
import { openHome } from '../flow/kit.ts'
import { peerSkip } from '../kit/peers.ts'
import { openVcsim } from '../kit/vcsim.ts'

describe.skipIf(peerSkip('vcsim'))('coldframe doctor on vcsim', () => {
  it('reads everything that it asks for, and is told of no missing privilege', async () => {
    await using vcsim = await openVcsim()
    const { url: sdkUrl, user, password, thumbprintSha256 } = vcsim
    await using home = await openHome({ sdkUrl, user, password, thumbprintSha256 })
    const ended = await home.run<{ checks: readonly Check[]; vms: readonly unknown[] }>([
      'doctor',
      '--vm',
      'DC0_H0_VM0',
    ])
    const { checks = [], vms = [] } = ended.document?.data ?? {}
    const stateOf = (id: string) => checks.filter((check) => check.id === id).map(({ state }) => state)
    for (const id of ['login', 'certificate', 'clock', 'version']) expect(stateOf(`vcenter.${id}`)).toEqual(['ok'])
    for (const id of ['vm.privileges', 'vm.transport', 'vm.snapshots', 'datastore.privileges', 'host.state'])
      expect({ id, states: stateOf(id) }).toEqual({ id, states: ['ok'] })
    expect(vms).toHaveLength(1)
    expect(checks.filter(({ code }) => code === 'vcenter-reply-malformed')).toEqual([])
  })
})
