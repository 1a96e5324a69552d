// What is sent to Windows guests, as far as it can be looked at without one.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RunPlace } from '../../../lib/adapters/vsphere/vix-run.ts'
import { commandOf, quoteWindows, windowsShell } from '../../../lib/adapters/vsphere/vix-windows.ts'

const place: RunPlace = { script: 'C:\\Temp\\c\\2-run.ps1', work: 'C:\\Temp\\c\\2', former: 'C:\\Temp\\c\\1' }
const request = { program: 'p.exe', args: [], environment: {}, workingDirectory: null, timeoutMs: 7, elevated: false }

/** How the C runtime splits a command line (Microsoft, "Parsing C command-line arguments"), program name aside. */
function splitLikeC(line: string): readonly string[] {
  const words: string[] = []
  let word: string | null = null
  let quoted = false
  for (let at = 0; at < line.length; at++) {
    let slashes = 0
    while (line[at] === '\\') {
      slashes++
      at++
    }
    if (line[at] === '"') {
      word = (word ?? '') + '\\'.repeat(Math.floor(slashes / 2))
      if (slashes % 2 === 1) word += '"'
      else if (quoted && line[at + 1] === '"') {
        word += '"'
        at++
      } else quoted = !quoted
      continue
    }
    if (slashes > 0) word = (word ?? '') + '\\'.repeat(slashes)
    if (at >= line.length) break
    if (!quoted && (line[at] === ' ' || line[at] === '\t')) {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + line[at]
  }
  if (word !== null) words.push(word)
  return words
}

function decodedCommand(line: string): string {
  const [, base64 = ''] = /-EncodedCommand (\S+)$/.exec(line) ?? []
  return Buffer.from(base64, 'base64').toString('utf16le')
}

describe('the script for Windows guests', () => {
  it('quotes every word so that the C runtime splits it off as it was', () => {
    const word = fc.oneof(
      fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0')),
      fc.string({ unit: fc.constantFrom('"', '\\', ' ', '\t', 'a', "'", '%', 'é') }),
    )
    fc.assert(
      fc.property(fc.array(word, { maxLength: 5 }), (words) => {
        expect(splitLikeC(words.map(quoteWindows).join(' '))).toEqual(words)
      }),
      { numRuns: 2_000 },
    )
    expect(() => quoteWindows('a\0')).toThrow('NUL')
  })

  it('hands batch files to cmd.exe, whose own rules apply, and refuses what these would change', () => {
    expect(commandOf({ program: 'C:\\a b\\x.CMD', args: ['one & two', '^'] })).toEqual({
      program: expect.stringMatching(/cmd\.exe$/),
      commandLine: '/d /s /c ""C:\\a b\\x.CMD" "one & two" "^""',
    })
    for (const word of ['"', '%PATH%', '!x!', 'a\nb', 'a\0'])
      expect(() => commandOf({ program: 'x.bat', args: [word] })).toThrow(
        expect.objectContaining({ code: 'guest-argument-unfit' }),
      )
    expect(commandOf({ program: 'x.exe', args: ['%PATH%'] }).program).toBe('x.exe')
  })

  it('carries the request as data that no shell reads, and ends with the word that its loader looks for', () => {
    const awkward = { 'WORD "x"': "'@\n$(calc) \u2019 größe 🧊" }
    const wish = { ...request, args: ['a b', '"'], environment: awkward, workingDirectory: "C:\\it's" }
    const text = windowsShell.write(wish, place)
    const [, base64 = ''] = /^\$data = '([A-Za-z0-9+/=]+)'$/m.exec(text) ?? []
    expect(JSON.parse(Buffer.from(base64, 'base64').toString('utf8'))).toEqual({
      program: 'p.exe',
      commandLine: String.raw`"a b" "\""`,
      directory: "C:\\it's",
      environment: [{ name: 'WORD "x"', value: awkward['WORD "x"'] }],
      timeoutMs: 7,
      elevated: false,
      work: place.work,
      former: place.former,
    })
    expect(text.endsWith('# whole')).toBe(true)
    // The C# between the lines of a literal must not end it.
    expect(text.split("\n'@\n")).toHaveLength(2)
  })

  it('is started by an encoded command, and stopped by a file beside its work', () => {
    const spec = windowsShell.start("C:\\it's \u2019\\2-run.ps1")
    expect(spec).toMatchObject({ startMinimized: true, programPath: expect.stringMatching(/^C:\\.*powershell\.exe$/) })
    expect(String(spec['arguments'])).toMatch(/^-NoProfile -NonInteractive -EncodedCommand [A-Za-z0-9+/=]+$/)
    expect(decodedCommand(String(spec['arguments']))).toContain("('C:\\it''s \u2019\u2019\\2-run.ps1',")
    expect(windowsShell.stop(place)).toEqual({ kind: 'file', path: 'C:\\Temp\\c\\2.stop' })
  })

  it('computes digests by a command that holds the path as a literal', () => {
    const { program, args } = windowsShell.digest("C:\\a'b")
    expect(program).toMatch(/powershell\.exe$/)
    expect(decodedCommand(args.join(' '))).toContain("$p='C:\\a''b';")
  })

  it('takes a high integrity label for elevation, and says what is missing otherwise', () => {
    const label = (sid: string) => `Mandatory Label\\High Mandatory Level   Label   ${sid}\r\n`
    for (const sid of ['S-1-16-12288', 'S-1-16-16384'])
      expect(windowsShell.identityOf(label(sid), 'a')).toEqual({ user: 'a', elevated: true, whyNot: null })
    expect(windowsShell.identityOf(label('S-1-16-8192'), 'a')).toEqual({
      user: 'a',
      elevated: false,
      whyNot: expect.stringContaining('built-in Administrator'),
    })
  })

  it('knows absolute paths', () => {
    for (const path of ['C:\\a', 'd:/a', '\\\\server\\share']) expect(windowsShell.isAbsolute(path)).toBe(true)
    for (const path of ['a', '\\a', 'C:a', '/a', '']) expect(windowsShell.isAbsolute(path)).toBe(false)
  })
})
