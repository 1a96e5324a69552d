// The simulator in this process, with the settings our adapter needs to reach it.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { VsphereSettings } from '../../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { seededRandom, systemRandom } from '../../../lib/base/random.ts'
import { smallEstate } from '../../../sim/estate/demo.ts'
import type { Estate } from '../../../sim/estate/estate.ts'
import type { GuestAccount } from '../../../sim/guest/types.ts'
import type { SimMishap } from '../../../sim/machine/types.ts'
import { calm, Scenario } from '../../../sim/scenario.ts'
import { plainServer, startServer } from '../../../sim/server.ts'

export type SimVcenter = AsyncDisposable & {
  readonly settings: VsphereSettings
  readonly estate: Estate
  readonly scenario: Scenario
  readonly certificate: string
  /** The next call of this name, or the next after `skip`, meets the mishap. */
  arm(call: string, mishap: SimMishap, options?: { readonly skip?: number; readonly times?: number }): void
}

export type SimVcenterOptions = {
  readonly changeTracking?: boolean
  readonly foreignSnapshot?: boolean
  readonly deniedPrivileges?: readonly string[]
  readonly taskKeepMs?: number
  readonly clockOffsetMs?: number
  readonly hostsAway?: readonly string[]
  readonly hostsInMaintenance?: readonly string[]
  /** The guests of "app-01" (Linux) and "win-01" have an inside, with these accounts; else there is no "win-01". */
  readonly accounts?: readonly GuestAccount[]
  /** How long the exit code of an ended program in a guest is told. */
  readonly exitKeepMs?: number
  readonly guestFileHost?: '*' | 'own' | 'localhost'
  readonly leaseMs?: number
  readonly sessionIdleMs?: number
}

export async function openSimVcenter(options: SimVcenterOptions = {}): Promise<SimVcenter> {
  const {
    changeTracking = false,
    foreignSnapshot = false,
    deniedPrivileges = [],
    taskKeepMs = plainServer.taskKeepMs,
    accounts,
    exitKeepMs = 300_000,
    guestFileHost = plainServer.guestFileHost,
    sessionIdleMs = plainServer.sessionIdleMs,
  } = options
  const estate = smallEstate({
    ...{ seed: 7, directory: null, clock: systemClock, changeTracking, foreignSnapshot },
    ...(accounts === undefined
      ? {}
      : {
          accounts,
          windows: true,
          guests: { directory: mkdtempSync(join(tmpdir(), 'coldframe-guests-')), exitKeepMs },
        }),
  })
  const scenario = new Scenario(calm)
  const user = { userName: 'backup@vsphere.local', password: 'p<&>"\'w' }
  const server = await startServer({
    ...plainServer,
    estate,
    scenario,
    users: [user],
    clock: systemClock,
    random: systemRandom,
    snapshotMs: 5,
    taskMs: 5,
    deniedPrivileges,
    taskKeepMs,
    guestFileHost,
    sessionIdleMs,
    leaseTimeoutMs: options.leaseMs ?? plainServer.leaseTimeoutMs,
    clockOffsetMs: options.clockOffsetMs ?? 0,
    hostsAway: options.hostsAway ?? [],
    hostsInMaintenance: options.hostsInMaintenance ?? [],
  })
  return {
    settings: {
      url: `${server.url}/sdk`,
      account: async () => ({ user: user.userName, password: user.password }),
      trust: { kind: 'thumbprint', sha256: server.thumbprintSha256 },
      clock: systemClock,
      random: seededRandom(1),
    },
    estate,
    scenario,
    certificate: server.certificate,
    arm: (call, mishap, { skip = 0, times = 1 } = {}) =>
      scenario.arm({ call, when: { kind: 'nth', nth: skip + 1 }, times, mishap }),
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      estate[Symbol.dispose]()
    },
  }
}
