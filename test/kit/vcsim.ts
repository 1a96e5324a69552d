// Starts govmomi's vCenter simulator (test/real/vcsim/main.go), the vCenter of real tests that is not ours.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { requirePeer } from './peers.ts'

export type Vcsim = AsyncDisposable & {
  /** https://127.0.0.1:PORT/sdk */
  readonly url: string
  /** As vSphere writes it: upper-case hex bytes separated by colons. */
  readonly thumbprintSha256: string
  readonly user: string
  readonly password: string
  /** The server's TMPDIR: each datastore is a folder `govcsim-DC0-LocalDS_0-*` in it. */
  readonly temporaryDirectory: string
  readonly pid: number
}

export type VcsimOptions = {
  readonly user?: string
  readonly password?: string
  /** Virtual machines per resource pool; 0 gives none. */
  readonly machines?: number
}

/** Resolves when the server answers. Any other user or password gets InvalidLogin. Disposing stops it and its files go. */
export async function openVcsim(options: VcsimOptions = {}): Promise<Vcsim> {
  const { user = 'administrator@vsphere.local', password = 'not-a-secret', machines = 2 } = options
  const program = requirePeer('vcsim')
  const temporaryDirectory = await mkdtemp(join(tmpdir(), 'coldframe-vcsim-'))
  const args = ['-l', '127.0.0.1:0', '-user', user, '-password', password, '-vm', String(machines)]
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporaryDirectory },
  })
  const exited = once(child, 'exit')
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-4000)
  })

  const stop = async () => {
    child.stdin.end()
    const lateKill = setTimeout(() => child.kill('SIGKILL'), 5000)
    await exited
    clearTimeout(lateKill)
    await rm(temporaryDirectory, { recursive: true, force: true })
  }

  const line = await firstLine(child.stdout, { limitMs: 20_000 })
  if (line === undefined || child.pid === undefined) {
    await stop()
    throw new Error(`vcsim did not start: ${complaints}`)
  }
  const { url, thumbprintSha256 } = parseStart(line)
  return { url, thumbprintSha256, user, password, temporaryDirectory, pid: child.pid, [Symbol.asyncDispose]: stop }
}

/** The first line of a stream, or undefined when it ends or the time is up before there is one. */
async function firstLine(
  stream: NodeJS.ReadableStream,
  { limitMs }: { readonly limitMs: number },
): Promise<string | undefined> {
  const lines = createInterface({ input: stream })
  const timer = setTimeout(() => lines.close(), limitMs)
  try {
    for await (const line of lines) return line
    return undefined
  } finally {
    clearTimeout(timer)
    stream.resume()
  }
}

function parseStart(line: string): { readonly url: string; readonly thumbprintSha256: string } {
  const parsed: unknown = JSON.parse(line)
  if (typeof parsed !== 'object' || parsed === null) throw new Error(`vcsim printed "${line}"`)
  if (!('url' in parsed) || !('thumbprintSha256' in parsed)) throw new Error(`vcsim printed "${line}"`)
  return { url: String(parsed.url), thumbprintSha256: String(parsed.thumbprintSha256) }
}
