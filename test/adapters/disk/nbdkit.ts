// Starts real NBD servers (nbdkit, qemu-nbd) for one test, and asks nbdcopy and nbdinfo what they see.

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { NbdAddress } from '../../../lib/adapters/disk/nbd-wire.ts'
import { requirePeer } from '../../kit/peers.ts'

export type NbdServer = {
  readonly address: NbdAddress
  /** For nbdcopy and nbdinfo; TLS servers need their own parameters added. */
  readonly uri: string
  /** Ends the server at once, as a power cut would. */
  kill(): Promise<void>
}

export type NbdkitOptions = {
  /** Filters, then the plugin, then the parameters of both. */
  readonly args: readonly string[]
  /** Default 'unix'. */
  readonly on?: 'unix' | 'tcp'
  /** To start a second server where a first was; default a new one. */
  readonly socket?: string
}

/** A folder for this test alone, removed when it is finished. */
export async function testFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-nbd-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** The server of a raw file that holds `image`. */
export async function imageFile(image: Uint8Array): Promise<string> {
  const path = join(await testFolder(), 'disk.raw')
  await writeFile(path, image)
  return path
}

/** Runs until the test is finished; fails the test when the server died by itself or of a signal it did not expect. */
export async function startNbdkit(options: NbdkitOptions): Promise<NbdServer> {
  const program = requirePeer('nbdkit')
  if (options.on === 'tcp') {
    const port = await freePort()
    const args = ['-f', '-r', '-i', '127.0.0.1', '-p', String(port), ...options.args]
    const kill = await run(program, { args, ready: { host: '127.0.0.1', port } })
    return { address: { host: '127.0.0.1', port }, uri: `nbd://127.0.0.1:${port}`, kill }
  }
  const unix = options.socket ?? join(await testFolder(), 'nbd.sock')
  await rm(unix, { force: true })
  const kill = await run(program, { args: ['-f', '-r', '-U', unix, ...options.args], ready: { path: unix } })
  return { address: { unix }, uri: `nbd+unix:///?socket=${encodeURIComponent(unix)}`, kill }
}

/** As nbdkit without `-r`, for plugins that are filled by a client first. */
export async function startWritableNbdkit(args: readonly string[]): Promise<NbdServer> {
  const unix = join(await testFolder(), 'nbd.sock')
  const kill = await run(requirePeer('nbdkit'), { args: ['-f', '-U', unix, ...args], ready: { path: unix } })
  return { address: { unix }, uri: `nbd+unix:///?socket=${encodeURIComponent(unix)}`, kill }
}

export async function startQemuNbd(file: string): Promise<NbdServer> {
  const unix = join(await testFolder(), 'nbd.sock')
  const args = ['-r', '-t', '-f', 'raw', '-x', 'disk', '--shared=8', '-k', unix, file]
  const kill = await run(requirePeer('qemu-nbd'), { args, ready: { path: unix } })
  return { address: { unix }, uri: `nbd+unix:///disk?socket=${encodeURIComponent(unix)}`, kill }
}

/** SHA-256 of the whole export, as nbdcopy reads it. */
export async function nbdcopySha256(uri: string): Promise<string> {
  const child = spawn(requirePeer('nbdcopy'), [uri, '-'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const hash = createHash('sha256')
  const closed = once(child, 'close')
  for await (const bytes of child.stdout) hash.update(bytes)
  const [code] = await closed
  expect(code).toBe(0)
  return hash.digest('hex')
}

/** Writes `file` into the export. */
export function nbdcopyInto(file: string, uri: string): void {
  expect(spawnSync(requirePeer('nbdcopy'), [file, uri]).status).toBe(0)
}

export type MapRun = { readonly offset: number; readonly length: number; readonly type: number }

/** base:allocation as nbdinfo sees it: bit 1 of the type means zero. */
export function nbdinfoMap(uri: string): readonly MapRun[] {
  const result = spawnSync(requirePeer('nbdinfo'), ['--map', '--json', uri], { encoding: 'utf8' })
  expect(result.status).toBe(0)
  return JSON.parse(result.stdout)
}

type Ready = { readonly path: string } | { readonly host: string; readonly port: number }

async function run(
  program: string,
  options: { readonly args: readonly string[]; readonly ready: Ready },
): Promise<() => Promise<void>> {
  const child = spawn(program, options.args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-10_000)
  })
  let ended: string | null = null
  const exited = once(child, 'exit').then(([code, signal]) => {
    ended = `${program} ended with ${signal ?? code}: ${said}`
  })
  let killed = false
  onTestFinished(async () => {
    const early = ended
    child.kill('SIGTERM')
    await exited
    if (killed) return
    expect(early, 'the server ended before it was told to').toBeNull()
    expect(child.signalCode === null || child.signalCode === 'SIGTERM', String(ended)).toBe(true)
  })
  for (let tries = 0; !(await answers(options.ready)); tries++) {
    if (ended !== null || tries > 500) throw new Error(ended ?? `${program} does not answer`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return async () => {
    killed = true
    child.kill('SIGKILL')
    await exited
  }
}

/** nbdkit is ready when it greets, not when its socket exists. */
function answers(ready: Ready): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(ready)
    socket.once('data', () => socket.end(Buffer.from([0, 0, 0, 3])))
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(socket.bytesRead > 0))
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
