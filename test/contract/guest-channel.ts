// What every way into a guest keeps. Run on each implementation; what is peculiar to a kind of guest is given by GuestKind.

import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { hasCode } from '../../lib/base/errors.ts'
import type { GuestChannel, ProgramRequest } from '../../lib/ports/guest.ts'

/** The suite appends its own arguments. */
export type GuestCommand = { readonly program: string; readonly args: readonly string[] }

/** Programs that a guest of this kind can run, and what it can carry. */
export type GuestKind = {
  /**
   * Prints a line "argument <hex of UTF-8>" for each of its arguments, "word <hex>" for the variable WORD (empty when unset) and
   * "directory <hex>" for the directory it runs in; complains on stderr; exits with 3.
   */
  readonly echo: GuestCommand
  /** Never ends; its grandchild, which ignores polite signals, makes the file of its argument longer ten times a second. */
  readonly heart: GuestCommand
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
      printf 'word %s\\n' "$(printf %s "\${WORD-}" | ${hex})"
      printf 'directory %s\\n' "$(pwd | tr -d '\\n' | ${hex})"
      echo 'not quite' >&2; exit 3`,
      'echo-words',
    ],
  },
  heart: {
    program: '/bin/sh',
    args: ['-c', '/bin/sh -c "$1" child "$2" "$3" & wait', 'heart', '/bin/sh -c "$1" grandchild "$2" & wait', beat],
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
    describe('programs', () => programContract(open))
    describe('ends', { concurrent: true }, () => endContract(open))
    describe('files', () => fileContract(open))
  })
}

function programContract(open: () => Promise<OpenedGuest>): void {
  it('runs a program in a directory, and gives both streams and the exit code', async () => {
    await using guest = await open()

    const directory = await guest.channel.makeDirectory(cancel)
    const request = { ...plain, ...guest.kind.echo, environment: { WORD: 'freeze' }, workingDirectory: directory }
    const { exitCode, timedOut, stdout, stderr } = await guest.channel.run(request, cancel)
    expect({ exitCode, timedOut }).toEqual({ exitCode: 3, timedOut: false })
    expect(wordsOf(stdout)).toEqual({ args: [], word: 'freeze', directory })
    expect(stderr).toContain('not quite')
    await guest.channel.remove(directory, cancel)
  })

  it('hands over every argument as it is', async () => {
    await using guest = await open()

    const { args } = guest.kind.awkward
    const result = await guest.channel.run(extended(guest.kind.echo, args), cancel)
    expect(wordsOf(result.stdout).args).toEqual(args)
    expect(result.exitCode).toBe(3)
  })

  it('hands over every value of the environment as it is', async () => {
    await using guest = await open()

    for (const value of guest.kind.awkward.values) {
      const result = await guest.channel.run({ ...plain, ...guest.kind.echo, environment: { WORD: value } }, cancel)
      expect(wordsOf(result.stdout).word).toBe(value)
    }
  })

  it('says whether it is elevated, and what it says is what programs get', async () => {
    await using guest = await open()

    const { user, elevated, whyNot } = await guest.channel.whoAmI(cancel)
    expect(user).not.toBe('')
    expect(whyNot === null).toBe(elevated)
    const request = { ...plain, ...guest.kind.rights, elevated: true }
    if (elevated) expect((await guest.channel.run(request, cancel)).stdout.trim()).toBe('elevated')
    else {
      const refusal = await guest.channel.run(request, cancel).catch((error: unknown) => error)
      expect(refusal).toMatchObject({ code: 'guest-elevation-refused' })
      const unelevated = await guest.channel.run({ ...request, elevated: false }, cancel)
      expect(unelevated.stdout.trim()).toBe('plain')
    }
  })

  it('elevated programs get their arguments, environment and directory too', async () => {
    await using guest = await open()

    if (!(await guest.channel.whoAmI(cancel)).elevated) return
    const directory = await guest.channel.makeDirectory(cancel)
    const { args, values } = guest.kind.awkward
    const word = values.join('')
    const request = { ...extended(guest.kind.echo, args), environment: { WORD: word }, workingDirectory: directory }
    const result = await guest.channel.run({ ...request, elevated: true }, cancel)
    expect(wordsOf(result.stdout)).toEqual({ args, word, directory })
    expect(result.exitCode).toBe(3)
    await guest.channel.remove(directory, cancel)
  })

  it('cuts both streams at 64 KiB and lets the program end', async () => {
    await using guest = await open()

    const { exitCode, stdout, stderr } = await guest.channel.run(extended(guest.kind.loud, ['300000']), cancel)
    expect(exitCode).toBe(0)
    expect(stdout.length).toBe(65_536)
    expect(stderr.length).toBe(65_536)
  })

  it('says that a program is missing, and so is its directory', async () => {
    await using guest = await open()

    const missing = { ...plain, program: guest.kind.missingProgram, args: [] }
    await expect(guest.channel.run(missing, cancel)).rejects.toMatchObject({ code: 'guest-program-missing' })
    const gone = await guest.channel.makeDirectory(cancel)
    await guest.channel.remove(gone, cancel)
    const nowhere = { ...plain, ...guest.kind.echo, workingDirectory: gone }
    await expect(guest.channel.run(nowhere, cancel)).rejects.toMatchObject({ code: 'guest-path-missing' })
  })
}

/** Descendants are watched by the file that the heart's grandchild writes: after an end it must not grow any more. */
function endContract(open: () => Promise<OpenedGuest>): void {
  for (const elevated of [false, true]) {
    const who = elevated ? 'an elevated program' : 'a program'
    it(`a time limit ends ${who} with all its descendants`, async () => {
      await using guest = await open()

      if (elevated && !(await guest.channel.whoAmI(cancel)).elevated) return
      await using file = await heartFile(guest)

      const request = { ...extended(guest.kind.heart, [file.path]), timeoutMs: 2000, elevated }
      expect(await guest.channel.run(request, cancel)).toMatchObject({ timedOut: true, exitCode: null })
      await expectStopped(guest, file.path)
    })

    it(`a signal ends ${who} with all its descendants, and the channel stays of use`, async () => {
      await using guest = await open()

      if (elevated && !(await guest.channel.whoAmI(cancel)).elevated) return
      await using file = await heartFile(guest)

      const request = { ...extended(guest.kind.heart, [file.path]), elevated }
      const signal = AbortSignal.any([AbortSignal.timeout(2000)])
      await expect(guest.channel.run(request, { signal })).rejects.toMatchObject({ name: 'TimeoutError' })
      await expectStopped(guest, file.path)
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

function fileContract(open: () => Promise<OpenedGuest>): void {
  it('keeps files byte for byte, of any size', async () => {
    await using guest = await open()
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
    await using guest = await open()
    await using folder = await directoryIn(guest.channel)

    const path = `${folder.path}/replaced`
    for (const size of [5000, 17, 0, 900]) {
      await guest.channel.put({ path, bytes: bytesOf(size), executable: false }, cancel)
      expect(sha256(await guest.channel.get({ path, bytesMax: 5000 }, cancel))).toBe(sha256(bytesOf(size)))
    }
  })

  it('keeps names as they are', async () => {
    await using guest = await open()
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
    await using guest = await open()
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
    await using guest = await open()

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

function wordsOf(stdout: string): { args: string[]; word: string | undefined; directory: string | undefined } {
  const lines = stdout.split(/\r?\n/).map((line) => line.split(' '))
  const decoded = (key: string) =>
    lines.filter(([name]) => name === key).map(([, text = '']) => Buffer.from(text, 'hex').toString('utf8'))
  return { args: decoded('argument'), word: decoded('word')[0], directory: decoded('directory')[0] }
}

async function directoryIn(channel: GuestChannel): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await channel.makeDirectory(cancel)
  return { path, [Symbol.asyncDispose]: () => channel.remove(path, cancel) }
}

async function heartFile({ channel }: OpenedGuest): Promise<AsyncDisposable & { readonly path: string }> {
  const directory = await directoryIn(channel)
  const path = `${directory.path}/beats`
  return { path, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() }
}

async function expectStopped({ channel }: OpenedGuest, path: string): Promise<void> {
  const beats = async () => (await channel.get({ path, bytesMax: 10_000 }, cancel)).byteLength
  const atEnd = await beats().catch((error: unknown) => {
    if (hasCode(error, 'guest-path-missing')) return 0
    throw error
  })
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
