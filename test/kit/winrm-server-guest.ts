// The guest behind the test server. There is no PowerShell here: each script of the client is known by its SHA-256, and the
// same operation is carried out with Node; any other text is refused. What it shows is the way to the guest and back, and
// nothing about the PowerShell texts themselves.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BOOTSTRAP, SCRIPTS } from '../../lib/adapters/guest/winrm-scripts.ts'

export type GuestToken = { readonly administrator: boolean; readonly member: boolean; readonly integrity: number }

export type TestGuest = {
  /** Where makeDirectory() makes its directories. */
  readonly folder: string
  readonly user: string
  readonly token: GuestToken
  /** Files change on their way in and out. */
  readonly spoils: boolean
}

/** One running script. */
export type RunningScript = {
  /** What PowerShell says at once, without reading anything; null when it runs. */
  readonly refusal: string | null
  /** All of stdin. @returns exit code and streams */
  finish(stdin: Buffer): Promise<{ readonly exitCode: number; readonly stdout: Buffer; readonly stderr: Buffer }>
  kill(): void
}

type Data = Readonly<Record<string, unknown>>
type Answer = { readonly answer: Data; readonly lines?: readonly string[] }

const sha256 = (text: string | Uint8Array) => createHash('sha256').update(text).digest('hex')
const bootstrapDigest = sha256(BOOTSTRAP)
const names = new Map(Object.entries(SCRIPTS).map(([name, text]) => [sha256(text), name]))
/** cmd.exe's limit. */
const COMMAND_CHARS_MAX = 8191
const STREAM_BYTES_MAX = 65_536

/** @returns null when the command line is not PowerShell */
export function startPowershell(line: string, guest: TestGuest): RunningScript | null {
  if (!/^"?\S*powershell(\.exe)?"? /i.test(line)) return null
  const encoded = /-encodedcommand ([A-Za-z0-9+/=]+)$/i.exec(line)?.[1]
  const text = Buffer.from(encoded ?? '', 'base64').toString('utf16le')
  const refusal =
    line.length > COMMAND_CHARS_MAX
      ? 'The command line is too long.'
      : sha256(text) === bootstrapDigest
        ? null
        : 'This guest has no PowerShell, and does not know this text'
  const running = new Set<ChildProcess>()
  return {
    refusal,
    kill: () => {
      for (const child of running) killTree(child)
    },
    finish: async (stdin) => {
      const { answer, lines = [] } = await carryOut(stdin, { guest, running }).catch(
        (error: unknown): Answer => ({
          answer: { code: 'failed', message: error instanceof Error ? error.message : String(error) },
        }),
      )
      const last = `coldframe:${Buffer.from(JSON.stringify(answer)).toString('base64')}`
      return { exitCode: 0, stdout: Buffer.from([...lines, last, ''].join('\r\n')), stderr: Buffer.alloc(0) }
    },
  }
}

async function carryOut(
  stdin: Buffer,
  { guest, running }: { readonly guest: TestGuest; readonly running: Set<ChildProcess> },
): Promise<Answer> {
  const [script = '', dataLine = '', ...pieces] = stdin.toString('latin1').trimEnd().split('\n')
  const name = names.get(sha256(Buffer.from(script, 'base64').toString('utf8')))
  const data: Data = JSON.parse(Buffer.from(dataLine, 'base64').toString('utf8'))
  const path = String(data['path'] ?? '')
  const missing = { answer: { code: 'path-missing', path } }
  switch (name) {
    case 'whoAmI':
      return { answer: { user: guest.user, ...guest.token } }
    case 'makeDirectory': {
      const made = join(guest.folder, String(data['name']))
      await mkdir(made, { mode: 0o700 })
      return { answer: { path: made } }
    }
    case 'put': {
      const bytes = spoilt(Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64'))), guest)
      if (!(await isDirectory(dirname(path)))) return missing
      if (sha256(bytes) !== data['sha256']) return { answer: { code: 'damaged', sha256: sha256(bytes) } }
      const part = `${path}.${randomUUID()}.part`
      await writeFile(part, bytes, { flag: 'wx' })
      await rename(part, path)
      return { answer: { sha256: sha256(bytes) } }
    }
    case 'get': {
      if (!(await isFile(path))) return missing
      const bytes = await readFile(path)
      if (bytes.byteLength > Number(data['bytesMax'])) return { answer: { code: 'large' } }
      const lines: string[] = []
      const sent = spoilt(bytes, guest)
      for (let at = 0; at < sent.byteLength; at += 49_152) lines.push(sent.toString('base64', at, at + 49_152))
      return { answer: { sha256: sha256(bytes) }, lines }
    }
    case 'digest':
      return (await isFile(path)) ? { answer: { sha256: sha256(await readFile(path)) } } : missing
    case 'remove':
      await rm(path, { recursive: true, force: true })
      return { answer: { gone: true } }
    case 'run':
      return { answer: await runProgram(data, running) }
    default:
      throw new Error('this script is not known')
  }
}

function spoilt(bytes: Buffer, { spoils }: TestGuest): Buffer {
  return spoils ? Buffer.from(bytes.map((byte, at) => (at === bytes.byteLength - 1 ? byte ^ 1 : byte))) : bytes
}

async function runProgram(data: Data, running: Set<ChildProcess>): Promise<Data> {
  const { program, arguments: line, workingDirectory, timeoutMs } = data
  if (typeof workingDirectory === 'string' && !(await isDirectory(workingDirectory)))
    return { code: 'path-missing', path: workingDirectory }
  const environment = data['environment'] as readonly { readonly name: string; readonly value: string }[]
  const child = spawn(String(program), argumentsOf(String(line)), {
    env: { ...process.env, ...Object.fromEntries(environment.map(({ name, value }) => [name, value])) },
    ...(typeof workingDirectory === 'string' ? { cwd: workingDirectory } : {}),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  running.add(child)
  const kept = [child.stdout, child.stderr].map((stream) => {
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    return parts
  })
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    killTree(child)
  }, Number(timeoutMs))
  const exitCode = await new Promise<number | null | 'missing'>((resolve) => {
    child.once('error', () => resolve('missing'))
    child.once('exit', (code) => {
      // A descendant may hold the streams: then they are left after a second.
      const late = setTimeout(() => resolve(code), 1000)
      child.once('close', () => {
        clearTimeout(late)
        resolve(code)
      })
    })
  })
  clearTimeout(timer)
  running.delete(child)
  if (exitCode === 'missing') return { code: 'program-missing' }
  const [stdout, stderr] = kept.map((parts) => Buffer.concat(parts).subarray(0, STREAM_BYTES_MAX).toString('base64'))
  return { exitCode: timedOut ? null : (exitCode ?? 1), timedOut, stdout, stderr }
}

/** CommandLineToArgvW: 2n backslashes and a mark are n and a mark of quotation, 2n+1 are n and the character. */
export function argumentsOf(line: string): readonly string[] {
  const found: string[] = []
  let [word, inside, begun] = ['', false, false]
  for (let at = 0; at < line.length; ) {
    const slashes = /^\\*/.exec(line.slice(at))?.[0].length ?? 0
    const next = line[at + slashes]
    if (slashes > 0) {
      word += '\\'.repeat(next === '"' ? slashes >> 1 : slashes)
      begun = true
      at += slashes
      if (next === '"' && slashes % 2 === 1) {
        word += '"'
        at++
      }
    } else if (next === '"') {
      inside = !inside
      begun = true
      at++
    } else if ((next === ' ' || next === '\t') && !inside) {
      if (begun) found.push(word)
      ;[word, begun] = ['', false]
      at++
    } else {
      word += next
      begun = true
      at++
    }
  }
  return begun ? [...found, word] : found
}

export function killTree({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}
