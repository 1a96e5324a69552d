// What one run happens in: a simulated vCenter over HTTPS, one machine in it whose guest runs real programs and writes all the
// time, and the parts of the product that no death of a process touches: records, queues, object store.

import { mkdtempSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { memoryMeter } from '../../lib/adapters/memory/meter.ts'
import type { MoverRequest } from '../../lib/adapters/memory/tasks.ts'
import { memoryMovers } from '../../lib/adapters/memory/tasks.ts'
import { datastoreTransport } from '../../lib/adapters/vsphere/datastore.ts'
import { openVsphere, type VsphereSettings } from '../../lib/adapters/vsphere/vsphere.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { type ManualClock, systemClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { inProcessWorkers } from '../../lib/mover/in-process.ts'
import { moveJob } from '../../lib/mover/move.ts'
import type { GuestCredentials, GuestNetwork } from '../../lib/ports/guest.ts'
import type { StageLimits } from '../../lib/stages/deps.ts'
import { diskOf, machineOf, plainEstate } from '../../sim/estate/description.ts'
import { Estate } from '../../sim/estate/estate.ts'
import { guestRunner } from '../../sim/estate/run-guests.ts'
import { commandLineOf, processesOf } from '../../sim/guest/host-processes.ts'
import { GUEST_MARK, GUESTS_MARK } from '../../sim/guest/host-programs.ts'
import type { Machine } from '../../sim/machine/machine.ts'
import { calm, Scenario } from '../../sim/scenario.ts'
import { plainServer, startServer } from '../../sim/server.ts'
import { type ServerIdentity, selfSigned } from '../../sim/tls.ts'
import { type ProcessChannel, processChannel } from '../kit/process-guest.ts'
import { newWorld, type World } from '../stages/world.ts'

export const VM = 'app-01'
export const FREEZE_LIMIT_MS = 2_000
const ADDRESS = '192.0.2.1'
const WRITE_EVERY_MS = 7
const HOST_KEY = 'SHA256:pinned'

const ACCOUNT: GuestCredentials = {
  user: 'root',
  password: 'secret',
  privateKey: null,
  passphrase: null,
  domain: null,
  vix: null,
  hostKeys: [HOST_KEY],
  certificates: [],
  sshPort: 22,
  winrmPort: 5986,
}

/** Claims lapse fast, so that a successor takes over while the guest may still be frozen, and watch is called soon after. */
const LIMITS: Partial<StageLimits> = {
  claimMs: 900,
  overdueMs: 300,
  pollMs: 40,
  againFirstMs: 40,
  againMostMs: 200,
  stageMs: 60_000,
  quiesceTries: 2,
  quiesceWaitMs: 40,
  guestProbeMs: 300,
  guestOpenMs: 3_000,
  guestSetupMs: 20_000,
  freezeStartMs: 1_000,
  thawCallMs: 5_000,
  thawMarginMs: 100,
  cleanupMs: 500,
  moverMarginMs: 500,
}

export type Site = AsyncDisposable & {
  readonly world: World
  readonly estate: Estate
  readonly machine: Machine
  readonly scenario: Scenario
  readonly settings: VsphereSettings
  readonly port: number
  /** The guest's own disk as its programs see it: scripts keep their log here. */
  readonly home: string
  /** Where workspaces are laid. */
  readonly memory: string
  /** Whether the guest's network answers. */
  network: 'there' | 'away'
  /** What goes over it now. */
  readonly channels: Set<ProcessChannel>
  /** Command lines of the living programs of the guest. */
  programs(): readonly string[]
  logLines(): Promise<readonly string[]>
}

let identity: ServerIdentity | null = null
const realClock: ManualClock = { ...systemClock, advance: () => undefined, sleepers: () => 0 }

export async function openSite(options: { readonly seed: number; readonly snapshotMs: number }): Promise<Site> {
  const { seed, snapshotMs } = options
  const random = seededRandom(seed)
  const directory = mkdtempSync('/dev/shm/coldframe-frozen-')
  const disk = () => diskOf({ capacityBytes: 512 * KiB })
  const account = { name: ACCOUNT.user, password: ACCOUNT.password ?? '', elevated: true }
  const inside = { programs: true, accounts: [account], ipAddresses: [ADDRESS] }
  await using stack = new AsyncDisposableStack()
  const estate = stack.use(
    new Estate(
      {
        ...plainEstate,
        seed,
        machines: [machineOf({ name: VM, disks: [disk(), disk()], changeTracking: true, ...inside })],
      },
      { directory: null, clock: systemClock, guests: { directory, exitKeepMs: 300_000 } },
    ),
  )
  const [machine] = estate.named(VM)
  if (machine === undefined) throw new Error('The estate has no machine')
  identity ??= selfSigned({ nowMs: Date.now(), random })
  const scenario = new Scenario(calm)
  const user = { userName: 'backup@vsphere.local', password: 'secret' }
  const plain = { ...plainServer, taskMs: 10, snapshotMs, clock: systemClock, random, identity }
  const server = stack.use(await startServer({ ...plain, estate, scenario, users: [user] }))
  const writing = stack.use(guestRunner(estate, { clock: systemClock }))
  await writing.run({ everyMs: WRITE_EVERY_MS, records: 1 })
  const world = await newWorld({ seed, clock: realClock, limits: LIMITS })
  world.accounts.set('account', ACCOUNT)
  const root = join(directory, VM)
  const mark = `${GUEST_MARK}=${root}`
  const owned = stack.move()
  const site: Site = {
    ...{ world, estate, machine, scenario, port: server.port },
    settings: {
      url: `${server.url}/sdk`,
      account: async () => ({ user: user.userName, password: user.password }),
      trust: { kind: 'thumbprint', sha256: server.thumbprintSha256 },
      clock: systemClock,
      random,
    },
    home: join(root, 'home'),
    memory: join(root, 'memory'),
    network: 'there',
    channels: new Set(),
    programs: () =>
      processesOf({ mark, pids: new Set() })
        .filter(({ zombie }) => !zombie)
        .map(commandLineOf),
    logLines: async () => {
      const text = await readFile(join(root, 'home', 'log'), 'utf8').catch(() => '')
      return text.split('\n').filter((line) => line !== '')
    },
    [Symbol.asyncDispose]: async () => {
      over.abort(new DOMException('The run is over', 'AbortError'))
      await tasks.settled()
      await owned.disposeAsync()
    },
  }
  const over = new AbortController()
  const tasks = memoryMovers((request, { signal }) => runMover(site, request, AbortSignal.any([signal, over.signal])))
  world.tasks = tasks
  return site
}

/** A mover of its own, over the transport that reads the simulator's frozen files. */
async function runMover({ world, settings }: Site, { jobId, attempt, clientToken }: MoverRequest, signal: AbortSignal) {
  const { store, repository, random, log } = world
  const transports = [datastoreTransport(settings)]
  const deps = {
    jobs: world.jobStore,
    vsphere: openVsphere(settings),
    repository,
    transports,
    meter: memoryMeter({ functionGb: 0 }),
    openWorker: inProcessWorkers({ transports, store, random }),
    settings: {
      chunkLog2: 16,
      workersMax: 1,
      limits: {
        readAheadBytes: 256 * KiB,
        pieceBytes: 128 * KiB,
        readsMax: 4,
        uploadsMax: 2,
        packBytesTarget: 256 * KiB,
      },
      latency: null,
      taskSize: null,
      writer: 'test',
    },
    clock: systemClock,
    random,
    log,
  }
  await moveJob({ jobId, attempt, holder: `mover-${clientToken}` }, deps, { signal })
}

/** The guest's network as one process reaches it; `own` are the channels of this process. */
export function networkOf(site: Site, own: Set<ProcessChannel>): GuestNetwork {
  const root = join(site.home, '..')
  const environment = {
    PATH: `${join(root, 'bin')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: site.home,
    [GUEST_MARK]: root,
    [GUESTS_MARK]: join(root, '..'),
  }
  const open = () => {
    if (site.network === 'away') throw unreachable()
    const channel = processChannel({ disk: join(root, 'tmp'), memory: site.memory }, { address: ADDRESS, environment })
    own.add(channel)
    site.channels.add(channel)
    return { channel, seen: HOST_KEY, warnings: [] }
  }
  return {
    probe: async (doors) =>
      doors.map(() =>
        site.network === 'away' ? { kind: 'silent', reason: 'no answer' } : { kind: 'answers', elapsedMs: 1 },
      ),
    openSsh: async () => open(),
    openWinrm: async () => Promise.reject(unreachable()),
  }
}

function unreachable(): BackupError {
  return new BackupError('Cannot reach the guest: no route to it', { code: 'guest-unreachable', retry: 'later' })
}
