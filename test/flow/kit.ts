// What the tests of the whole product share: the simulator and the commands as processes, temporary homes, documents.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { programPath } from '../../lib/compose/programs.ts'
import type { EstateDescription } from '../../sim/estate/description.ts'
import type { Peaks } from '../../sim/machine/peaks.ts'
import type { FaultRule } from '../../sim/scenario.ts'
import { type SimLine, startSimProgram } from '../sim/api/sim-program.ts'

/** Where Node keeps compiled sources between the many short commands of these tests. */
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/coldframe-tests')

/** How a command ended. */
export type Ended<Data = unknown> = {
  readonly exitCode: number | null
  readonly endSignal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly document: Document<Data> | null
}

export type Document<Data = unknown> = {
  readonly v: 1
  readonly ok: boolean
  readonly data?: Data
  readonly error?: {
    readonly code: string
    readonly message: string
    readonly hint: string | null
    readonly facts: Readonly<Record<string, unknown>>
  }
}

export type JobDocument = {
  readonly id: string
  readonly vm: { readonly name: string; readonly vmId: string }
  readonly state: string
  readonly attempt: number
  readonly notices: readonly { readonly code: string; readonly message: string }[]
  readonly outcome: {
    readonly kind: string
    readonly code: string
    readonly message: string
    readonly hint: string | null
  } | null
  readonly pointId: string | null
}

export type ListedJob = JobDocument & { readonly owes: readonly unknown[]; readonly nextStage: string | null }

export type BackupData = { readonly runId: string; readonly jobs: readonly JobDocument[] }

export type PointDocument = {
  readonly id: string
  readonly vm: string
  readonly vmId: string
  readonly sequence: number
  readonly grade: string
  readonly snapshotName: string
  readonly storedBytes: number
  readonly disks: readonly {
    readonly key: number
    readonly label: string
    readonly capacityBytes: number
    readonly readMode: string
    readonly readBytes: number
    readonly newStoredBytes: number
  }[]
  readonly excludedDisks: readonly { readonly key: number; readonly label: string; readonly reason: string }[]
  readonly notices: readonly { readonly code: string; readonly message: string }[]
}

export type PointsData = { readonly points: readonly PointDocument[]; readonly unreadable: readonly unknown[] }

export type RestoreData = { readonly files: readonly { readonly key: number; readonly path: string }[] }

export type MachineReport = {
  readonly name: string
  readonly consolidationNeeded: boolean
  readonly changeTrackingEnabled: boolean
  readonly disks: readonly { readonly deviceKey: number; readonly chain: readonly string[] }[]
  readonly snapshots: readonly { readonly name: string }[]
}

export type FrozenSnapshot = {
  readonly vm: string
  readonly snapshot: string
  readonly disks: readonly { readonly deviceKey: number; readonly capacityBytes: number; readonly sha256: string }[]
}

/** A fault as a scenario file has it: from the nth call on, or by chance. */
export type Rule = Pick<FaultRule, 'call' | 'mishap'> & {
  readonly nth?: number
  readonly chance?: number
  readonly times?: number
}

export type Sim = SimLine &
  AsyncDisposable & {
    /** The settings that make a command use it. */
    readonly variables: Environment
    machines(): Promise<readonly MachineReport[]>
    frozen(): Promise<readonly FrozenSnapshot[]>
    calls(): Promise<Readonly<Record<string, number>>>
    /** The most that was in use at once of what vSphere bounds. */
    peaks(): Promise<ReturnType<Peaks['report']>>
    /** Every running guest writes this much now. */
    write(bytes: number): Promise<void>
    arm(rule: Rule): Promise<void>
    calm(): Promise<void>
    act(machine: string, action: string, body?: unknown): Promise<void>
  }

/** Starts the simulator; its disks are in memory. */
export async function openSim(...args: readonly string[]): Promise<Sim> {
  const program = await startSimProgram(...args)
  const ask = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body) }
    const response = await fetch(new URL(path, program.controlUrl), init)
    const answer: unknown = await response.json()
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`)
    return answer
  }
  return {
    ...program,
    variables: variablesOf(program),
    machines: async () => (await ask('GET', '/machines')) as readonly MachineReport[],
    frozen: async () => (await ask('GET', '/frozen')) as readonly FrozenSnapshot[],
    calls: async () => (await ask('GET', '/calls')) as Readonly<Record<string, number>>,
    peaks: async () => (await ask('GET', '/limits')) as ReturnType<Peaks['report']>,
    write: async (bytes) => void (await ask('POST', '/guests/write', { bytes })),
    arm: async (rule) => void (await ask('POST', '/fault', rule)),
    calm: async () => void (await ask('DELETE', '/faults')),
    act: async (machine, action, body = {}) =>
      void (await ask('POST', `/machines/${encodeURIComponent(machine)}/${action}`, body)),
  }
}

/** An estate as the JSON file that the simulator reads. */
export function estateJson(estate: EstateDescription): string {
  const machines = estate.machines.map(({ place, annotation, changeWindowBytes, disks, ...machine }) => ({
    ...machine,
    ...(annotation === '' ? {} : { annotation }),
    ...(changeWindowBytes === null ? {} : { changeWindowBytes }),
    datacenter: place.datacenter,
    ...(place.folders.length === 0 ? {} : { folder: place.folders.join('/') }),
    cluster: place.cluster,
    host: place.host,
    resourcePool: place.resourcePool,
    tags: place.tags,
    disks: disks.map((disk) => Object.fromEntries(Object.entries(disk).filter(([, value]) => value !== null))),
  }))
  return JSON.stringify({ seed: estate.seed, machines })
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * One operator's place: a folder with the state, the repository, and what is restored. Removed when disposed, unless
 * COLDFRAME_KEEP is set.
 */
export interface Home extends AsyncDisposable {
  readonly folder: string
  readonly repository: string
  readonly environment: Environment
  /** Runs a command with --json to its end. */
  run<Data = unknown>(args: readonly string[], options?: RunOptions): Promise<Ended<Data>>
  /** Starts one and does not wait. */
  start(args: readonly string[], options?: RunOptions): Running
}

export type RunOptions = {
  /** Added to the home's; undefined takes a variable away. */
  readonly environment?: Environment
  /** The command is killed, and the test fails, when it takes longer. */
  readonly limitMs?: number
}

export type Running = {
  readonly child: ChildProcess
  readonly pid: number
  readonly ended: Promise<Ended>
}

export type Vcenter = Pick<SimLine, 'sdkUrl' | 'user' | 'password' | 'thumbprintSha256'>

export async function openHome(vcenter: Vcenter | null): Promise<Home> {
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-flow-'))
  const repository = join(folder, 'repository')
  const environment: Environment = {
    COLDFRAME_HOME: join(folder, 'home'),
    COLDFRAME_REPOSITORY: `file:${repository}`,
    COLDFRAME_PASSPHRASE: 'a passphrase for tests only',
    ...(vcenter === null ? {} : variablesOf(vcenter)),
  }
  const running = new Set<ChildProcess>()
  const start = (args: readonly string[], options: RunOptions = {}): Running => {
    const plain = Object.entries(process.env).filter(([name]) => !name.startsWith('COLDFRAME_'))
    const env = { ...Object.fromEntries(plain), NODE_COMPILE_CACHE: COMPILED, ...environment, ...options.environment }
    const child = spawn(process.execPath, [programPath('cli'), ...args, '--json'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    child.once('exit', () => running.delete(child))
    if (child.pid === undefined) throw new Error('The command did not start')
    return { child, pid: child.pid, ended: endOf(child, { limitMs: options.limitMs ?? 60_000, args }) }
  }
  return {
    folder,
    repository,
    environment,
    start,
    run: async <Data>(args: readonly string[], options: RunOptions = {}) =>
      (await start(args, options).ended) as Ended<Data>,
    [Symbol.asyncDispose]: async () => {
      for (const child of running) child.kill('SIGKILL')
      if (process.env['COLDFRAME_KEEP'] !== undefined) process.stderr.write(`Kept: ${folder}\n`)
      else await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

export function variablesOf({ sdkUrl, user, password, thumbprintSha256 }: Vcenter): Environment {
  return {
    COLDFRAME_VCENTER: sdkUrl,
    COLDFRAME_VCENTER_USER: user,
    COLDFRAME_VCENTER_PASSWORD: password,
    COLDFRAME_VCENTER_THUMBPRINT: thumbprintSha256,
  }
}

function endOf(
  child: ChildProcess,
  { limitMs, args }: { readonly limitMs: number; readonly args: readonly string[] },
): Promise<Ended> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`"coldframe ${args.join(' ')}" took longer than ${limitMs} ms: ${stderr.slice(-2000)}`))
    }, limitMs)
    child.once('error', reject)
    child.once('close', (exitCode, endSignal) => {
      clearTimeout(timer)
      resolve({ exitCode, endSignal, stdout, stderr, document: stdout === '' ? null : JSON.parse(stdout) })
    })
  })
}

/** The data of a command that must have succeeded. */
export function dataOf<Data>(ended: Ended<Data>): Data {
  const data = ended.document?.data
  if (ended.exitCode !== 0 || data === undefined) {
    throw new Error(`The command ended with ${ended.exitCode}: ${ended.stderr.slice(-3000)}\n${ended.stdout}`)
  }
  return data
}

export async function backUp(home: Home, names: readonly string[], ...more: readonly string[]): Promise<BackupData> {
  const args = ['backup', ...names.flatMap((name) => ['--vm', name]), ...more]
  return dataOf(await home.run<BackupData>(args))
}

export async function pointsOf(home: Home): Promise<readonly PointDocument[]> {
  return dataOf(await home.run<PointsData>(['points'])).points
}

/** Restores every disk of a point; @returns the files by disk key */
export async function restorePoint(home: Home, point: PointDocument): Promise<ReadonlyMap<number, string>> {
  const target = `${join(home.folder, 'restored', point.id)}/`
  const { files } = dataOf(await home.run<RestoreData>(['restore', point.id, '--to', target, '--overwrite']))
  return new Map(files.map((file) => [file.key, file.path]))
}

export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/** Restores a point and tells where its disks differ from what the simulator froze; nothing when they are equal. */
export async function differencesOf(home: Home, point: PointDocument, sim: Sim): Promise<readonly string[]> {
  return await differencesIn(await restorePoint(home, point), { point, sim })
}

/** The same for files that are restored already, by disk key. */
export async function differencesIn(
  files: ReadonlyMap<number, string>,
  { point, sim }: { readonly point: PointDocument; readonly sim: Sim },
): Promise<readonly string[]> {
  // A snapshot whose creation was in doubt is removed and made anew under the same name: the last one counts.
  const frozen = (await sim.frozen()).findLast((one) => one.vm === point.vm && one.snapshot === point.snapshotName)
  if (frozen === undefined) return [`the simulator froze no "${point.snapshotName}" of "${point.vm}"`]
  const differences: string[] = []
  for (const disk of frozen.disks) {
    const path = files.get(disk.deviceKey)
    if (path === undefined) differences.push(`${point.vm}@${point.sequence} has no disk ${disk.deviceKey}`)
    else if ((await digestOf(path)) !== disk.sha256) {
      differences.push(`${point.vm}@${point.sequence} disk ${disk.deviceKey} has other bytes`)
    }
  }
  return differences
}

/** The snapshots of all machines, as "machine: name". */
export async function snapshotsIn(sim: Sim): Promise<readonly string[]> {
  return (await sim.machines()).flatMap(({ name, snapshots }) => snapshots.map((one) => `${name}: ${one.name}`))
}

/** What the state of a home knows of its jobs, newest first. */
export async function jobsOf(home: Home): Promise<readonly ListedJob[]> {
  return dataOf(await home.run<{ jobs: readonly ListedJob[] }>(['jobs', '--limit', '1000'])).jobs
}

/** The restore points that "verify --all" finds damaged, with their faults; empty when all are whole. */
export async function damagedPoints(home: Home): Promise<readonly unknown[]> {
  const { points } = dataOf(await home.run<{ points: readonly { faultCount: number }[] }>(['verify', '--all']))
  return points.filter(({ faultCount }) => faultCount > 0)
}

/** The processes of this home that run now: their environment names it (Linux's /proc; elsewhere none are found). */
export function processesOf(home: Home): readonly number[] {
  return numbersIn('/proc').filter((pid) => {
    try {
      return pid !== process.pid && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(home.folder)
    } catch {
      return false
    }
  })
}

/** The child processes of a process that runs now. */
export function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

function numbersIn(folder: string): readonly number[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
}
