// The VMware Tools channel on vcsim, whose guests run no programs: it is said so, and nothing breaks.

import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { peerSkip } from '../kit/peers.ts'
import { openVcsim } from '../kit/vcsim.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }

describe.skipIf(peerSkip('vcsim'))('the VMware Tools channel on vcsim', () => {
  it('says that the guest cannot be reached, as something that may pass, and the session stays of use', async () => {
    await using vcsim = await openVcsim()
    const { url, user, password, thumbprintSha256: sha256 } = vcsim
    const trust = { kind: 'thumbprint', sha256 } as const
    const own = { account: async () => ({ user, password }), clock: systemClock, random: systemRandom }
    await using session = await openVsphere({ url, trust, ...own }).open(cancel)
    const [vm] = await session.listVms(cancel)
    if (vm === undefined) throw new Error('no VM')
    for (const family of ['linux', 'windows'] as const) {
      const login = { vm: vm.moref, family, user: 'root', password: 'guest-secret' }
      const error = await session.openGuest(login, cancel).catch((failure: unknown) => failure)
      expect(error).toMatchObject({ code: 'guest-unreachable', retry: 'later' })
      expect(String(error)).toContain('no guest operations')
    }
    expect((await session.readVm(vm.moref, cancel)).guest.operationsReady).not.toBe(true)
  })
})
