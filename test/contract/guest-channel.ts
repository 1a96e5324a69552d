// What every way into a guest keeps. Run on each implementation; what is peculiar to a kind of guest is given by GuestKind.

import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasCode } from '../../lib/base/errors.ts'
import type { GuestChannel, ProgramRequest } from '../../lib/ports/guest.ts'

/** The suite appends its own arguments. */
export type GuestCommand = { readonly program: string; readonly args: readonly string[] }

/** Programs that a guest of this kind can run, and what it can carry. */
export type GuestKind = {
  /**
   * Prints a line "argument <hex of UTF-8>" for each of its arguments, "word <hex>" for each of the variables W0, W1, … until one is not
   * set, and "directory <hex>" for the directory it runs in; complains on stderr; exits with 3.
   */
  readonly echo: GuestCommand
  /** Never ends; its grandchild, which ignores polite signals, makes the file of its argument longer ten times a second. */
  readonly heart: GuestCommand
  /** Prints "gone", exits with 4 and leaves a child behind that prints "still here" until the file of its argument is gone. */
  readonly chatty: GuestCommand
  /** Prints as many "x" as its argument says on each stream, and exits with 0. */
  readonly loud: GuestCommand
  /** Prints "elevated" or "plain". */
  readonly rights: GuestCommand
  readonly missingProgram: string
  /** Arguments, values of variables and names of files that this kind of guest can carry at all. */
  readonly awkward: {
    readonly args: readonly string[]
    readonly values: readonly string[]
    readonly names: readonly string[]
  }
  /** How large a file the suite carries there and back. */
  readonly largeBytes: number
}

export type OpenedGuest = {
  readonly channel: GuestChannel
  readonly kind: GuestKind
  /** Permission bits of a path in the guest, "700"; null where there are none or nobody can look. */
  readonly modeOf: ((path: string) => Promise<string>) | null
} & AsyncDisposable

const cancel = { signal: new AbortController().signal }
const plain = { environment: {}, workingDirectory: null, timeoutMs: 20_000, elevated: false }

const awkwardWords = [
  '',
  ' ',
  'two words',
  '"double" and \'single\'',
  "'",
  '"',
  '$HOME $$ $(id) `id`',
  'back\\slash \\" \\\\',
  'trailing\\',
  '; exit 9 & echo | cat > /dev/null',
  '*',
  '~',
  '!! !x',
  '%PATH% ^ &',
  '-n',
  '--',
  'größe, 日本語, 🧊',
  'tab\there',
]

const hex = String.raw`od -An -v -tx1 | tr -d " \n"`
const beat = 'trap "" TERM HUP; while :; do printf x >> "$1"; sleep 0.1; done'

/** A guest with a POSIX shell. */
export const posixGuest: GuestKind = {
  echo: {
    program: '/bin/sh',
    args: [
      '-c',
      `for one in "$@"; do printf 'argument %s\\n' "$(printf %s "$one" | ${hex})"; done
      i=0; while eval "test \\"\\\${W$i+set}\\" = set"; do
      eval "w=\\$W$i"; printf 'word %s\\n' "$(printf %s "$w" | ${hex})"; i=$((i + 1)); done
      printf 'directory %s\\n' "$(pwd | tr -d '\\n' | ${hex})"
      echo 'not quite' >&2; exit 3`,
      'echo-words',
    ],
  },
  heart: {
    program: '/bin/sh',
    args: ['-c', '/bin/sh -c "$1" child "$2" "$3" & wait', 'heart', '/bin/sh -c "$1" grandchild "$2" & wait', beat],
  },
  chatty: {
    program: '/bin/sh',
    args: ['-c', 'while test -e "$1"; do echo still here; sleep 0.1; done & echo gone; exit 4', 'chatty'],
  },
  loud: {
    program: '/bin/sh',
    args: ['-c', String.raw`head -c "$1" /dev/zero | tr '\0' x; head -c "$1" /dev/zero | tr '\0' x >&2`, 'loud'],
  },
  rights: { program: '/bin/sh', args: ['-c', 'test "$(id -u)" = 0 && echo elevated || echo plain'] },
  missingProgram: '/nonexistent/no such program',
  awkward: {
    args: [...awkwardWords, 'line\nbreak\n', '\r\n'],
    values: [...awkwardWords, 'line\nbreak\n', '\r\n'],
    names: ['größe 日本語.bin', `it's "quoted" $HOME \`id\``, '-rf', 'back\\slash', 'line\nbreak', '*'],
  },
  largeBytes: 3 * 1024 * 1024 + 7,
}

export function guestChannelContract(name: string, open: () => Promise<OpenedGuest>): void {
  describe(`guest channel: ${name}`, { timeout: 120_000 }, () => {
    // Calls of one channel come one after the other, also where several channels are tested at once.
    describe('programs', { concurrent: false }, () => programContract(sharedGuest(open)))
    describe('ends', { concurrent: true }, () => endContract(open))
    describe('files', { concurrent: false }, () => fileContract(sharedGuest(open)))
  })
}

/** One guest for all tests of a block. */
function sharedGuest(open: () => Promise<OpenedGuest>): () => OpenedGuest {
  let guest: OpenedGuest | undefined
  beforeAll(async () => {
    guest = await open()
  })
  afterAll(() => guest?.[Symbol.asyncDispose]())
  return () => {
    if (guest === undefined) throw new Error('The guest was not opened')
    return guest
  }
}

function programContract(opened: () => OpenedGuest): void {
  it('runs a program in a directory, and gives both streams and the exit code', async () => {
    const { channel, kind } = opened()
    await using folder = await directoryIn(channel)

    const request = { ...plain, ...kind.echo, environment: { W0: 'freeze' }, workingDirectory: folder.path }
    const { exitCode, timedOut, stdout, stderr } = await channel.run(request, cancel)
    expect({ exitCode, timedOut }).toEqual({ exitCode: 3, timedOut: false })
    expect(wordsOf(stdout)).toEqual({ args: [], words: ['freeze'], directory: folder.path })
    expect(stderr).toContain('not quite')
  })

  it('hands over every argument and every value of the environment as it is', async () => {
    const { channel, kind } = opened()
    const { args, values } = kind.awkward
    const result = await channel.run({ ...extended(kind.echo, args), environment: variablesOf(values) }, cancel)
    expect(wordsOf(result.stdout)).toMatchObject({ args, words: values })
    expect(result.exitCode).toBe(3)
  })

  it('says whether it is elevated, and what it says is what programs get', async () => {
    const { channel, kind } = opened()
    const { user, elevated, whyNot } = await channel.whoAmI(cancel)
    expect(user).not.toBe('')
    expect(whyNot === null).toBe(elevated)
    const request = { ...plain, ...kind.rights, elevated: true }
    if (elevated) expect((await channel.run(request, cancel)).stdout.trim()).toBe('elevated')
    else {
      const refusal = await channel.run(request, cancel).catch((error: unknown) => error)
      expect(refusal).toMatchObject({ code: 'guest-elevation-refused' })
      const unelevated = await channel.run({ ...request, elevated: false }, cancel)
      expect(unelevated.stdout.trim()).toBe('plain')
    }
  })

  it('elevated programs get their arguments, environment and directory too', async () => {
    const { channel, kind } = opened()
    if (!(await channel.whoAmI(cancel)).elevated) return
    await using folder = await directoryIn(channel)

    const { args, values } = kind.awkward
    const environment = variablesOf(values)
    const request = { ...extended(kind.echo, args), environment, workingDirectory: folder.path, elevated: true }
    const result = await channel.run(request, cancel)
    expect(wordsOf(result.stdout)).toEqual({ args, words: values, directory: folder.path })
    expect(result.exitCode).toBe(3)
  })

  it('cuts both streams at 64 KiB and lets the program end', async () => {
    const { channel, kind } = opened()
    const { exitCode, stdout, stderr } = await channel.run(extended(kind.loud, ['300000']), cancel)
    expect(exitCode).toBe(0)
    expect(stdout.length).toBe(65_536)
    expect(stderr.length).toBe(65_536)
  })

  it('a program is over when it ends, whatever goes on printing behind it', async () => {
    const { channel, kind } = opened()
    await using folder = await directoryIn(channel)

    const path = `${folder.path}/while-this-is-here`
    await channel.put({ path, bytes: bytesOf(1), executable: false }, cancel)
    const { exitCode, timedOut, stdout } = await channel.run(extended(kind.chatty, [path]), cancel)
    expect({ exitCode, timedOut }).toEqual({ exitCode: 4, timedOut: false })
    expect(stdout).toContain('gone')
  })

  it('says that a program is missing, and so is its directory', async () => {
    const { channel, kind } = opened()
    const missing = { ...plain, program: kind.missingProgram, args: [] }
    await expect(channel.run(missing, cancel)).rejects.toMatchObject({ code: 'guest-program-missing' })
    const gone = await channel.makeDirectory(cancel)
    await channel.remove(gone, cancel)
    const nowhere = { ...plain, ...kind.echo, workingDirectory: gone }
    await expect(channel.run(nowhere, cancel)).rejects.toMatchObject({ code: 'guest-path-missing' })
  })
}

/** Descendants are watched by the file that the heart's grandchild writes: after an end it must not grow any more. */
function endContract(open: () => Promise<OpenedGuest>): void {
  for (const elevated of [false, true]) {
    const who = elevated ? 'an elevated program' : 'a program'
    it(`a time limit ends ${who} with all its descendants`, async () => {
      await using guest = await open()

      if (elevated && !(await guest.channel.whoAmI(cancel)).elevated) return
      await onceItBeats(guest, async (path, ms) => {
        const request = { ...extended(guest.kind.heart, [path]), timeoutMs: ms, elevated }
        expect(await guest.channel.run(request, cancel)).toMatchObject({ timedOut: true, exitCode: null })
      })
    })

    it(`a signal ends ${who} with all its descendants, and the channel stays of use`, async () => {
      await using guest = await open()

      if (elevated && !(await guest.channel.whoAmI(cancel)).elevated) return
      await onceItBeats(guest, async (path, ms) => {
        const request = { ...extended(guest.kind.heart, [path]), timeoutMs: 60_000, elevated }
        const run = guest.channel.run(request, { signal: AbortSignal.timeout(ms) })
        await expect(run).rejects.toMatchObject({ name: 'TimeoutError' })
      })
      expect((await guest.channel.run({ ...plain, ...guest.kind.echo }, cancel)).exitCode).toBe(3)
    })
  }

  it('does nothing for a caller that has been cancelled', async () => {
    await using guest = await open()

    const over = { signal: AbortSignal.abort(new Error('over')) }
    await expect(guest.channel.whoAmI(over)).rejects.toThrow('over')
    await expect(guest.channel.run({ ...plain, ...guest.kind.echo }, over)).rejects.toThrow('over')
    await expect(guest.channel.makeDirectory(over)).rejects.toThrow('over')
  })
}

function fileContract(opened: () => OpenedGuest): void {
  it('keeps files byte for byte, of any size', async () => {
    const guest = opened()
    await using folder = await directoryIn(guest.channel)

    for (const size of [0, 1, 70_000, guest.kind.largeBytes]) {
      const bytes = bytesOf(size)
      const path = `${folder.path}/file ${size}.bin`
      await guest.channel.put({ path, bytes, executable: false }, cancel)
      expect(await guest.channel.digest(path, cancel)).toBe(sha256(bytes))
      expect(sha256(await guest.channel.get({ path, bytesMax: size }, cancel))).toBe(sha256(bytes))
    }
  })

  it('replaces a file whole, with a shorter one too', async () => {
    const guest = opened()
    await using folder = await directoryIn(guest.channel)

    const path = `${folder.path}/replaced`
    for (const size of [5000, 17, 0, 900]) {
      await guest.channel.put({ path, bytes: bytesOf(size), executable: false }, cancel)
      expect(sha256(await guest.channel.get({ path, bytesMax: 5000 }, cancel))).toBe(sha256(bytesOf(size)))
    }
  })

  it('keeps names as they are', async () => {
    const guest = opened()
    await using folder = await directoryIn(guest.channel)

    for (const [index, name] of guest.kind.awkward.names.entries()) {
      const path = `${folder.path}/${name}`
      await guest.channel.put({ path, bytes: bytesOf(index + 1), executable: false }, cancel)
    }
    for (const [index, name] of guest.kind.awkward.names.entries()) {
      const path = `${folder.path}/${name}`
      expect(sha256(await guest.channel.get({ path, bytesMax: 100 }, cancel))).toBe(sha256(bytesOf(index + 1)))
      expect(await guest.channel.digest(path, cancel)).toBe(sha256(bytesOf(index + 1)))
      await guest.channel.remove(path, cancel)
      await expect(guest.channel.digest(path, cancel)).rejects.toMatchObject({ code: 'guest-path-missing' })
    }
  })

  it('tells what is absent from what is too large', async () => {
    const guest = opened()
    await using folder = await directoryIn(guest.channel)

    const path = `${folder.path}/file`
    const absent = { code: 'guest-path-missing' }
    await expect(guest.channel.get({ path, bytesMax: 10 }, cancel)).rejects.toMatchObject(absent)
    await expect(guest.channel.digest(path, cancel)).rejects.toMatchObject(absent)
    const inNoDirectory = { path: `${path}/below`, bytes: bytesOf(1), executable: false }
    await expect(guest.channel.put(inNoDirectory, cancel)).rejects.toMatchObject(absent)
    await guest.channel.put({ path, bytes: bytesOf(100), executable: false }, cancel)
    const cut = guest.channel.get({ path, bytesMax: 99 }, cancel)
    await expect(cut).rejects.toMatchObject({ code: 'guest-file-large' })
  })

  it('makes a new directory each time, and removes one with everything in it; what is absent is no error', async () => {
    const guest = opened()
    const { channel } = guest
    const directory = await channel.makeDirectory(cancel)
    const other = await channel.makeDirectory(cancel)
    expect(other).not.toBe(directory)
    const path = `${directory}/file`
    await channel.put({ path, bytes: bytesOf(10), executable: true }, cancel)
    if (guest.modeOf !== null) {
      expect(await guest.modeOf(directory)).toBe('700')
      expect(await guest.modeOf(path)).toBe('700')
      await channel.put({ path, bytes: bytesOf(10), executable: false }, cancel)
      expect(await guest.modeOf(path)).toBe('600')
    }
    for (const each of [directory, other, directory, path]) await channel.remove(each, cancel)
    await expect(channel.get({ path, bytesMax: 10 }, cancel)).rejects.toMatchObject({ code: 'guest-path-missing' })
  })
}

function extended({ program, args }: GuestCommand, more: readonly string[]): ProgramRequest {
  return { ...plain, program, args: [...args, ...more] }
}

function variablesOf(values: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(values.map((value, index) => [`W${index}`, value]))
}

function wordsOf(stdout: string): { args: string[]; words: string[]; directory: string | undefined } {
  const lines = stdout.split(/\r?\n/).map((line) => line.split(' '))
  const decoded = (key: string) =>
    lines.filter(([name]) => name === key).map(([, text = '']) => Buffer.from(text, 'hex').toString('utf8'))
  return { args: decoded('argument'), words: decoded('word'), directory: decoded('directory')[0] }
}

async function directoryIn(channel: GuestChannel): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await channel.makeDirectory(cancel)
  return { path, [Symbol.asyncDispose]: () => channel.remove(path, cancel) }
}

/** Runs a heart for a second, or for longer where its grandchild did not come to beat so soon; then it must be still. */
async function onceItBeats({ channel }: OpenedGuest, run: (path: string, ms: number) => Promise<void>): Promise<void> {
  await using folder = await directoryIn(channel)

  const path = `${folder.path}/beats`
  const beats = async () => (await channel.get({ path, bytesMax: 10_000 }, cancel)).byteLength
  const beatsOrNone = () =>
    beats().catch((error: unknown) => {
      if (hasCode(error, 'guest-path-missing')) return 0
      throw error
    })
  let atEnd = 0
  for (const ms of [1000, 4000, 16_000]) {
    await run(path, ms)
    atEnd = await beatsOrNone()
    if (atEnd > 0) break
  }
  expect(atEnd, 'the grandchild was running').toBeGreaterThan(0)
  await delay(700)
  expect(await beats()).toBe(atEnd)
}

function bytesOf(count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, index) => (index * 31 + (index >> 8)) & 0xff)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
