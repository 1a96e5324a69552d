// One simulated vCenter in this process with one machine, and the whole product against it.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { VsphereSettings } from '../../lib/adapters/vsphere/vsphere.ts'
import { KiB, MiB } from '../../lib/base/bytes.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import { actOn } from '../../sim/estate/act.ts'
import { diskOf, type MachineDescription, machineOf, plainEstate } from '../../sim/estate/description.ts'
import { Estate } from '../../sim/estate/estate.ts'
import { calm, Scenario } from '../../sim/scenario.ts'
import { plainServer, startServer } from '../../sim/server.ts'
import { type ServerIdentity, selfSigned } from '../../sim/tls.ts'
import { openProduct, type Product } from './product.ts'

export const VM = 'db-01'
const USER = { userName: 'backup', password: 'right' }

let identity: ServerIdentity | null = null

export type LieWorld = AsyncDisposable & {
  readonly estate: Estate
  readonly scenario: Scenario
  readonly product: Product
  /** Keys of disks whose restored bytes are not those that the point's snapshot froze. */
  wrongDisks(point: StoredPoint): Promise<readonly number[]>
}

export type LieWorldOptions = {
  readonly seed: number
  readonly machine?: Partial<MachineDescription>
  readonly latencyEveryMs?: number
}

/** A tracked, running machine "db-01" with disks of 1 MiB and 768 KiB on "ds1"; a second datastore "ds2", a second host. */
export async function openLieWorld(options: LieWorldOptions): Promise<LieWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-lies-'))
  const clock = systemClock
  const random = seededRandom(options.seed)
  const estate = estateOf(options)
  const scenario = new Scenario({ ...calm, seed: options.seed }, (wish) => void actOn(estate, wish))
  identity ??= selfSigned({ nowMs: clock.nowMs(), random })
  const server = await startServer({
    ...plainServer,
    ...{ estate, scenario, clock, random, identity, users: [USER], snapshotMs: 5, taskMs: 5, leaseTimeoutMs: 1_000 },
  })
  const settings: VsphereSettings = {
    url: server.url,
    account: async () => ({ user: USER.userName, password: USER.password }),
    trust: { kind: 'thumbprint', sha256: server.thumbprintSha256 },
    clock,
    random,
  }
  const product = await openProduct({ folder, settings, latencyEveryMs: options.latencyEveryMs ?? null })
  return {
    estate,
    scenario,
    product,
    wrongDisks: async (point) => {
      const restored = await product.digestsOf(point)
      const { capturedAt } = point.envelope
      const { snapshotName } = point.body
      // One whose making was in doubt is made anew under the same name: the moment tells them apart.
      const frozen = estate.ledger
        .reports()
        .findLast(({ snapshot, createdAt }) => snapshot === snapshotName && createdAt === capturedAt)
      if (frozen === undefined) throw new Error(`Nothing was frozen as "${snapshotName}" at ${capturedAt}`)
      return frozen.disks.flatMap(({ deviceKey, sha256 }) => (restored.get(deviceKey) === sha256 ? [] : [deviceKey]))
    },
    [Symbol.asyncDispose]: async () => {
      await product[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      estate[Symbol.dispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function estateOf({ seed, machine = {} }: LieWorldOptions): Estate {
  const disks = [diskOf({ capacityBytes: MiB }), diskOf({ capacityBytes: 768 * KiB })]
  const machines = [machineOf({ name: VM, changeTracking: true, disks, ...machine })]
  const estate = new Estate({ ...plainEstate, seed, machines }, { directory: null, clock: systemClock })
  // The counters of change ids have room to go back.
  for (const each of estate.named(VM)) {
    for (let cut = 0; cut < 3; cut++) each.createSnapshot({ name: 'old', description: '', quiesce: { kind: 'none' } })
    each.removeAllSnapshots()
  }
  return estate
}
