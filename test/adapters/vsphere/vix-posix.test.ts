// The script that runs a program in a POSIX guest, on real shells.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { posixShell, quotePosix } from '../../../lib/adapters/vsphere/vix-posix.ts'
import { parseRunResult, type RunOutcome } from '../../../lib/adapters/vsphere/vix-result.ts'
import type { RunPlace } from '../../../lib/adapters/vsphere/vix-run.ts'
import type { ProgramRequest } from '../../../lib/ports/guest.ts'

const shells = [['/bin/dash'], ['/bin/bash'], ['/bin/busybox', 'sh']].filter(([program = '']) => existsSync(program))
const plain = { args: [], environment: {}, workingDirectory: null, timeoutMs: 20_000, elevated: false }
const tools = 'sh mkfifo dd wc head cat ln readlink sleep id mkdir mv rm find setsid touch'.split(' ')

type Guest = Disposable & {
  readonly directory: string
  place(): RunPlace
  /** Writes the script and starts it, as Tools would. */
  start(
    request: Partial<ProgramRequest>,
    options?: { readonly shell?: readonly string[]; readonly path?: string },
  ): Started
}

type Started = RunPlace & { outcome(): Promise<RunOutcome> }

function openGuest(): Guest {
  const directory = mkdtempSync(join(tmpdir(), "coldframe-it's-"))
  let number = 0
  const place = () => {
    number++
    const at = (index: number) => join(directory, `${index}`)
    return { script: `${at(number)}-run.sh`, work: at(number), former: number > 1 ? at(number - 1) : null }
  }
  return {
    directory,
    place,
    start: (request, { shell = ['/bin/sh'], path = process.env['PATH'] ?? '' } = {}) => {
      const own = place()
      writeFileSync(own.script, posixShell.write({ ...plain, program: '/bin/true', ...request }, own))
      const [program = '', ...args] = shell
      const child = spawn(program, [...args, own.script, 'run'], {
        stdio: 'ignore',
        env: { PATH: path, HOME: tmpdir() },
        detached: true,
      })
      const exited = once(child, 'exit')
      const outcome = async () => {
        await exited
        return parseRunResult(readFileSync(join(own.work, 'result')), 'Cannot run')
      }
      return { ...own, outcome }
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  }
}

/** A directory that holds nothing but the named programs: the PATH of a guest that lacks the others. */
function onlyThese(guest: Guest, names: readonly string[]): string {
  const folder = join(guest.directory, 'bin')
  mkdirSync(folder)
  for (const name of names) {
    const { stdout } = spawnSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' })
    symlinkSync(stdout.trim(), join(folder, name))
  }
  return folder
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function pidsIn(path: string, count: number): Promise<readonly number[]> {
  for (let round = 0; round < 200; round++) {
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []
    if (lines.length >= count) return lines.map(Number)
    await delay(50)
  }
  throw new Error(`"${path}" was not written`)
}

/** Of living programs whose command line ends with these words. */
function pidsOf(words: string): readonly number[] {
  const lineOf = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
    } catch {
      return ''
    }
  }
  const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))
  return pids.filter((pid) => lineOf(pid).endsWith(words)).map(Number)
}

const named = shells.map((shell, index) => ({ name: shell.join(' '), shell, index }))

// At once: most of their time they wait.
describe.each(named)('the script, under $name', { concurrent: true }, ({ shell, index }) => {
  it('gives both streams and the exit code', async () => {
    using guest = openGuest()

    const args = ['-c', 'echo out; echo err >&2; exit 7']
    const outcome = await guest.start({ program: 'sh', args }, { shell }).outcome()
    expect(outcome).toEqual({ how: 'exited', exitCode: 7, stdout: 'out\n', stderr: 'err\n' })
  })

  it('hands over arguments and values as they are, whatever they are', async () => {
    using guest = openGuest()

    const word = fc.oneof(
      fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0') && text.isWellFormed()),
      fc.string({ unit: fc.constantFrom("'", '"', '\\', '$', '`', '\n', '\r', ' ', '*', '!', '-', 'é', '🧊') }),
    )
    const print = 'printf "%s\\0" "$@" "$WORD" "$IFS"'
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 6 }), word, async (words, value) => {
        const request = {
          program: '/bin/sh',
          args: ['-c', print, 'print', ...words],
          environment: { WORD: value, cF_WORK: 'x', IFS: 'abc' },
        }
        const { how, exitCode, stdout } = await guest.start(request, { shell }).outcome()
        expect({ how, exitCode }).toEqual({ how: 'exited', exitCode: 0 })
        // A shell sets IFS itself when it starts, as POSIX wants it.
        expect(stdout.split('\0').slice(0, -2)).toEqual([...words, value])
      }),
      { numRuns: 25 },
    )
  })

  it('kills the whole session at the time limit, also what ignores polite signals', async () => {
    using guest = openGuest()

    const pids = join(guest.directory, 'pids')
    const deaf = 'trap "" TERM; echo $$ >>"$0"; while :; do sleep 1; done'
    const args = ['-c', `echo $$ >>"$0"; sh -c '${deaf}' "$0" & echo begun; wait`, pids]
    const outcome = await guest.start({ program: 'sh', args, timeoutMs: 1000 }, { shell }).outcome()
    expect(outcome).toMatchObject({ how: 'late', stdout: 'begun\n' })
    for (const pid of await pidsIn(pids, 2)) expect(isAlive(pid)).toBe(false)
  })

  it('leaves no timer behind, however short the program was', { timeout: 120_000 }, async () => {
    // On a busy machine the end of the program meets the timer in every moment of its beginning.
    const timeoutMs = 900_000 + (process.pid % 90_000) * 10 + index
    const runs = async () => {
      using guest = openGuest()

      for (let run = 0; run < 25; run++) {
        const outcome = await guest.start({ timeoutMs }, { shell }).outcome()
        expect(outcome).toMatchObject({ how: 'exited', exitCode: 0 })
      }
    }
    await Promise.all(Array.from({ length: 8 }, runs))
    await delay(300)
    const left = pidsOf(`sleep ${(timeoutMs / 1000).toFixed(3)}`)
    for (const pid of left) process.kill(pid, 'SIGKILL')
    expect(left).toEqual([])
  })

  it('leaves alone what the program put into a session of its own, and does not wait for its streams', async () => {
    using guest = openGuest()

    const pids = join(guest.directory, 'pids')
    const daemon = 'echo $$ >>"$0"; sleep 300; echo late'
    const args = ['-c', `setsid sh -c '${daemon}' "$0" & echo done`, pids]
    const startedMs = performance.now()
    const outcome = await guest.start({ program: 'sh', args }, { shell }).outcome()
    const [pid = 0] = await pidsIn(pids, 1)
    try {
      expect(outcome).toMatchObject({ how: 'exited', exitCode: 0, stdout: 'done\n' })
      expect(performance.now() - startedMs).toBeLessThan(60_000)
      expect(isAlive(pid)).toBe(true)
    } finally {
      process.kill(-pid, 'SIGKILL')
    }
  })

  it('keeps the first 64 KiB of each stream, to the byte', async () => {
    using guest = openGuest()

    const args = ['-c', 'head -c 70000 /dev/zero | tr "\\0" a; head -c 65536 /dev/zero | tr "\\0" b >&2']
    const { stdout, stderr } = await guest.start({ program: 'sh', args }, { shell }).outcome()
    expect([stdout, stderr]).toEqual(['a'.repeat(65_536), 'b'.repeat(65_536)])
  })

  it('removes what the run before it left', async () => {
    using guest = openGuest()

    const first = guest.start({}, { shell })
    await first.outcome()
    await guest.start({}, { shell }).outcome()
    expect([first.script, first.work].filter(existsSync)).toEqual([])
  })
})

describe('the script', { concurrent: true }, () => {
  it('runs nothing of itself when it came short', () => {
    using guest = openGuest()

    const own = guest.place()
    const witness = join(guest.directory, 'ran')
    const text = posixShell.write({ ...plain, program: 'touch', args: [witness] }, own)
    const bytes = Buffer.from(text)
    const lengths = [...Array(60).keys()].map((index) => Math.floor((bytes.length * index) / 60))
    for (const length of [...lengths, ...[...Array(30).keys()].map((index) => bytes.length - 2 - index)]) {
      for (const mode of ['run', 'stop', 'child']) {
        writeFileSync(own.script, bytes.subarray(0, length))
        const { status } = spawnSync('/bin/sh', [own.script, mode, '022'], { stdio: 'ignore' })
        expect(existsSync(witness) || existsSync(own.work), `${length} of ${bytes.length} bytes, ${mode}`).toBe(false)
        if (length > bytes.length - 20) expect(status).not.toBe(0)
      }
    }
  })

  it('that is told to stop before it begins never runs the program', async () => {
    using guest = openGuest()

    const own = guest.place()
    const witness = join(guest.directory, 'ran')
    writeFileSync(own.script, posixShell.write({ ...plain, program: 'touch', args: [witness] }, own))
    spawnSync('/bin/sh', [own.script, 'stop'])
    spawnSync('/bin/sh', [own.script, 'run'])
    expect(parseRunResult(readFileSync(join(own.work, 'result')), 'Cannot run').how).toBe('stopped')
    expect(existsSync(witness)).toBe(false)
  })

  it('that is told to stop ends the time limit as well', async () => {
    using guest = openGuest()

    const pids = join(guest.directory, 'pids')
    const timeoutMs = 800_000 + (process.pid % 90_000)
    const args = ['-c', 'echo $$ >"$0"; exec sleep 300', pids]
    const own = guest.start({ program: 'sh', args, timeoutMs })
    await pidsIn(pids, 1)
    spawnSync('/bin/sh', [own.script, 'stop'])
    expect((await own.outcome()).how).toBe('stopped')
    const left = pidsOf(`sleep ${(timeoutMs / 1000).toFixed(3)}`)
    for (const pid of left) process.kill(pid, 'SIGKILL')
    expect(left).toEqual([])
  })

  it('that was killed itself still lets the program be stopped, and answered for', async () => {
    using guest = openGuest()

    const pids = join(guest.directory, 'pids')
    const own = guest.start({ program: 'sh', args: ['-c', 'echo $$ >"$0"; exec sleep 300', pids] })
    const [pid = 0] = await pidsIn(pids, 1)
    process.kill(Number(readFileSync(join(own.work, 'wrapper'), 'utf8')), 'SIGKILL')
    await own.outcome().catch(() => undefined)
    spawnSync('/bin/sh', [own.script, 'stop'])
    expect(isAlive(pid)).toBe(false)
    expect(parseRunResult(readFileSync(join(own.work, 'result')), 'Cannot run').how).toBe('stopped')
  })

  it('finds the descendants by their parents where there is no setsid', async () => {
    using guest = openGuest()

    const path = onlyThese(
      guest,
      tools.filter((name) => name !== 'setsid'),
    )
    const pids = join(guest.directory, 'pids')
    const args = [
      '-c',
      'echo $$ >>"$0"; sh -c \'trap "" TERM; echo $$ >>"$0"; sleep 300 & wait; sleep 300\' "$0" & wait',
      pids,
    ]
    const outcome = await guest.start({ program: 'sh', args, timeoutMs: 1000 }, { path }).outcome()
    expect(outcome.how).toBe('late')
    for (const pid of await pidsIn(pids, 2)) expect(isAlive(pid)).toBe(false)
  })

  it('holds the time limit where sleep knows whole seconds only', async () => {
    using guest = openGuest()

    const path = onlyThese(
      guest,
      tools.filter((name) => name !== 'sleep'),
    )
    writeFileSync(join(path, 'sleep'), '#!/bin/sh\ncase $1 in *[!0-9]*) exit 1 ;; esac\nexec /bin/sleep "$1"\n', {
      mode: 0o755,
    })
    const late = await guest.start({ program: '/bin/sleep', args: ['300'], timeoutMs: 300 }, { path }).outcome()
    expect(late.how).toBe('late')
    const quick = await guest.start({ program: '/bin/sleep', args: ['0.1'], timeoutMs: 30_000 }, { path }).outcome()
    expect(quick).toMatchObject({ how: 'exited', exitCode: 0 })
  })

  it('says what is missing: the directory, the program, or the right', async () => {
    using guest = openGuest()

    const folder = join(guest.directory, 'folder')
    mkdirSync(folder)
    writeFileSync(join(folder, 'plain'), 'echo hello\n', { mode: 0o644 })
    const howOf = async (request: Partial<ProgramRequest>) => (await guest.start(request).outcome()).how
    expect(await howOf({ workingDirectory: join(folder, 'none') })).toBe('no-directory')
    expect(await howOf({ workingDirectory: join(folder, 'plain') })).toBe('no-directory')
    for (const program of [folder, join(folder, 'plain'), join(folder, 'none'), 'no-such-program-at-all', 'cd'])
      expect(await howOf({ program })).toBe('no-program')
    expect(await howOf({ program: 'true', environment: { PATH: '' } })).toBe('no-program')
    const isRoot = process.getuid?.() === 0
    expect(await howOf({ elevated: true })).toBe(isRoot ? 'exited' : 'not-elevated')
  })

  it('gives the program the umask and directory that Tools gave the script', async () => {
    using guest = openGuest()

    const { stdout } = await guest.start({ program: 'sh', args: ['-c', 'umask; pwd'] }).outcome()
    const mask = process.umask().toString(8).padStart(4, '0')
    expect(stdout).toBe(`${mask}\n${process.cwd()}\n`)
  })

  it('refuses what a shell cannot hand over', () => {
    const write = (request: Partial<ProgramRequest>) =>
      posixShell.write({ ...plain, program: '/bin/true', ...request }, { script: '/s', work: '/w', former: null })
    expect(() => quotePosix('a\0b')).toThrow('NUL')
    for (const name of ['A-B', '', '1A', 'A=B', 'UID', 'SHLVL', '_', 'BASH_ENV'])
      expect(() => write({ environment: { [name]: 'x' } })).toThrow(
        expect.objectContaining({ code: 'guest-argument-unfit' }),
      )
    expect(() => write({ program: '-rf' })).toThrow(expect.objectContaining({ code: 'guest-argument-unfit' }))
  })
})

describe('parseRunResult()', () => {
  it('refuses everything that does not fit to the byte', () => {
    const parse = (text: string) => parseRunResult(Buffer.from(text), 'Cannot run "x"')
    expect(parse('coldframe 1 exited -1 2 1\nab\n')).toEqual({
      how: 'exited',
      exitCode: -1,
      stdout: 'ab',
      stderr: '\n',
    })
    for (const text of [
      '',
      'coldframe 1 exited 0 2 1\nab',
      'coldframe 1 exited 0 2 1\nabcd',
      'coldframe 2 exited 0 0 0\n',
      'coldframe 1 vanished 0 0 0\n',
      'coldframe 1 exited 0 0 0',
      'HTTP error\n',
    ])
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'guest-file-damaged' }))
  })
})
