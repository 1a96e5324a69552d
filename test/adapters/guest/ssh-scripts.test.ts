// Texts for a guest's shell, judged by the shells of this machine: whatever the words, they arrive byte for byte.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { markedStream } from '../../../lib/adapters/guest/marked-stream.ts'
import { bootstrapCommand, joinMark, programScript, quoteWord } from '../../../lib/adapters/guest/posix-script.ts'
import { sudoersLine } from '../../../lib/adapters/guest/ssh-shell.ts'
import type { ProgramRequest } from '../../../lib/ports/guest.ts'

const mark = { head: '0123456789abcdef', tail: 'fedcba9876543210' }
const shells: readonly (readonly string[])[] = [
  ['/bin/dash'],
  ['/bin/bash'],
  ['/bin/bash', '--posix'],
  ['/bin/sh'],
  ['/usr/bin/busybox', 'sh'],
  ['/bin/mksh'],
].filter(([path = '']) => existsSync(path))

/** Any text that a program can be given: no NUL, no half of a surrogate pair; more of what shells care for. */
const special = [...'\'"\\$`!*?[]{}()<>|&;#~%^=\n\r\t -', '$(', '\\n', "'\\''", 'é', '日', '🧊', '\u0001', '\u007f']
const word = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...special) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
    ),
    {
      maxLength: 12,
    },
  )
  .map((parts) => parts.join('').replaceAll('\0', ''))

/** Feeds a shell on standard input, as sshd would; what it prints. */
async function feed(
  shell: readonly string[],
  input: string,
): Promise<{ stdout: Buffer; stderr: Buffer; code: number }> {
  const [program = '', ...args] = shell
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] } })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const [code] = await once(child, 'close')
  return { stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr), code: Number(code) }
}

/** What a program prints after the mark. */
function afterMark(printed: Buffer): { readonly line: string; readonly bytes: Buffer } {
  const stream = markedStream({ marks: [joinMark(mark)], bytesMax: 1e6, onMark: () => undefined })
  stream.push(printed)
  return { line: stream.lines[0] ?? '', bytes: Buffer.from(stream.bytes()) }
}

function request(more: Partial<ProgramRequest>): ProgramRequest {
  const plain = { args: [], environment: {}, workingDirectory: null, timeoutMs: 1000, elevated: false }
  return { ...plain, program: 'printf', ...more }
}

describe('texts for a POSIX shell', { timeout: 120_000 }, () => {
  it('quoteWord() is one word that stands for exactly the text', () =>
    fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 20 }), fc.constantFrom(...shells), async (words, shell) => {
        const script = `for each in ${words.map(quoteWord).join(' ')}; do printf '%s\\0' "$each"; done`
        const { stdout } = await feed(shell, script)
        expect(stdout).toEqual(Buffer.from(words.map((each) => `${each}\0`).join('')))
      }),
      { numRuns: 150 },
    ))

  it('programScript() hands over arguments, values and the directory byte for byte', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(word, { maxLength: 10 }),
        word,
        fc.constantFrom(...shells),
        async (args, value, shell) => {
          const program = request({
            program: '/bin/sh',
            args: [
              '-c',
              'for each in "$@"; do printf "%s\\0" "$each"; done; printf "%s\\0" "$WORD"; pwd >&2; exit 41',
              'x',
              ...args,
            ],
            environment: { WORD: value },
            workingDirectory: '/usr/share',
          })
          const { stdout, stderr, code } = await feed(shell, programScript(program, mark))
          const { line, bytes } = afterMark(stdout)
          expect(line).toMatch(/^(started|shared) [0-9]+$/)
          expect(bytes).toEqual(Buffer.from([...args, value].map((each) => `${each}\0`).join('')))
          expect(afterMark(stderr).bytes.toString()).toBe('/usr/share\n')
          expect(code).toBe(41)
        },
      ),
      { numRuns: 100 },
    ))

  it('a program sees an empty standard input, and none of the script', async () => {
    const { stdout } = await feed(['/bin/sh'], programScript(request({ program: 'cat', args: [] }), mark))
    expect(afterMark(stdout).bytes).toHaveLength(0)
  })

  it('a shell that shows what it does (set -x) is not taken for the program', async () => {
    for (const shell of shells) {
      const text = programScript(request({ args: ['out'] }), mark)
      const { stdout, stderr } = await feed([...shell, '-xv'], text)
      expect(afterMark(stdout).bytes.toString()).toBe('out')
      // The shell may speak before the mark as it likes.
      expect(stderr.indexOf(joinMark(mark))).toBeGreaterThan(0)
      expect(afterMark(stderr).bytes.toString()).not.toContain(mark.head)
    }
  })

  it('refuses what no program can be given: a NUL, and a name of a variable that is none', () => {
    expect(() => quoteWord('a\0b')).toThrow('NUL')
    for (const name of ['A B', '1A', '', 'A=B', 'é']) {
      expect(() => programScript(request({ environment: { [name]: 'x' } }), mark)).toThrow('no name of a variable')
    }
  })

  it('the bootstrap has nothing that one shell reads otherwise than another', () => {
    for (const elevated of [true, false]) {
      const command = bootstrapCommand({ greeting: 'abc123', elevated })
      // Between the quotes: no backslash and no quote (fish), no "!" (csh), no line break (csh).
      expect(/^exec \/bin\/sh -c '([^']*)'$/.exec(command)?.[1]).toMatch(/^[^\\!\n']+$/)
    }
  })
})

describe('marks in a stream', () => {
  it('are found however the stream is cut, and everything after them is kept up to the limit', () =>
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('noise', '\n', 'MARK', 'ONE', 'MARKON', ' '), { maxLength: 20 }),
        fc.uint8Array({ maxLength: 60 }),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 0, max: 70 }),
        (noise, payload, cuts, bytesMax) => {
          const before = noise.join('').replaceAll('MARKONE', 'x')
          fc.pre(!`${before}MARKONE`.slice(0, -1).includes('MARKONE'))
          const all = Buffer.concat([Buffer.from(`${before}MARKONE 12 \nmore\nMARKTWO\r\n`), payload])
          const seen: number[] = []
          const stream = markedStream({ marks: ['MARKONE', 'MARKTWO'], bytesMax, onMark: (index) => seen.push(index) })
          for (let at = 0, turn = 0; at < all.length; turn++) {
            const size = cuts[turn % cuts.length] ?? 1
            stream.push(all.subarray(at, at + size))
            at += size
          }
          expect(seen).toEqual([0, 1])
          expect(stream.lines).toEqual(['12', ''])
          expect(stream.noise(0)).toBe(before.trim())
          expect(stream.noise(1)).toBe('more')
          expect(Buffer.from(stream.bytes())).toEqual(Buffer.from(payload.subarray(0, bytesMax)))
          expect(stream.length()).toBe(payload.length)
        },
      ),
    ))

  it('noise without end takes no memory', () => {
    const stream = markedStream({ marks: ['MARK'], bytesMax: 10, onMark: () => undefined })
    for (let turn = 0; turn < 2000; turn++) stream.push(Buffer.alloc(65_536, 'y'))
    expect(stream.noise(0).length).toBeLessThan(5000)
    stream.push(Buffer.from('MARK\nout'))
    expect(Buffer.from(stream.bytes()).toString()).toBe('out')
  })

  it('a line of a mark that does not end takes no memory, and is no mark', () => {
    const seen: number[] = []
    const stream = markedStream({ marks: ['MARK', 'NEXT'], bytesMax: 10, onMark: (index) => seen.push(index) })
    stream.push(Buffer.from('MARK 1'))
    for (let turn = 0; turn < 100; turn++) stream.push(Buffer.alloc(32_768, 'y'))
    expect(stream.noise(0).length).toBeLessThan(10_000)
    stream.push(Buffer.from(`${'y'.repeat(5000)} MARK ${'z'.repeat(5000)}\nMARK 2\nNEXT\nout`))
    expect({ seen, lines: stream.lines }).toEqual({ seen: [0, 1], lines: ['2', ''] })
    expect(Buffer.from(stream.bytes()).toString()).toBe('out')
  })
})

it('the line of sudoers escapes what sudoers(5) asks to escape in a name', () => {
  expect(sudoersLine('backup')).toBe('backup ALL=(root) NOPASSWD: /bin/sh')
  expect(sudoersLine('CORP\\domain user')).toBe('CORP\\\\domain\\ user ALL=(root) NOPASSWD: /bin/sh')
})
