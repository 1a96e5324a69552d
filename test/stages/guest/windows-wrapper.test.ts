// No PowerShell runs here, so that only the form of the wrapper for Windows can be looked at, and what is handed to it.

import { describe, expect, it } from 'vitest'
import type { GuestChannel, ProgramRequest } from '../../../lib/ports/guest.ts'
import { freezeGuest, thawGuest } from '../../../lib/stages/guest/freeze.ts'
import { posixWrapper } from '../../../lib/stages/guest/posix-wrapper.ts'
import { windowsStart } from '../../../lib/stages/guest/windows-start.ts'
import { windowsWrapper } from '../../../lib/stages/guest/windows-wrapper.ts'
import { installWorkspace, removeWorkspace } from '../../../lib/stages/guest/workspace.ts'
import { cancel, script } from './wrapper-kit.ts'

/** What remains of a PowerShell text without comments, strings and here-strings; throws where one of these has no end. */
function bare(text: string): string {
  let rest = text.replaceAll(/@'\n[\s\S]*?\n'@/g, '')
  let left = ''
  while (rest !== '') {
    const part = /^(?:#[^\n]*|'(?:[^']|'')*')/.exec(rest)?.[0] ?? doubleQuoted(rest)
    if (part === '') left += rest[0]
    rest = rest.slice(part === '' ? 1 : part.length)
  }
  return left
}

/** A string in double quotes at the beginning, with the strings inside of its $(…). */
function doubleQuoted(text: string): string {
  if (!text.startsWith('"')) return ''
  for (let at = 1, depth = 0; at < text.length; at++) {
    if (text.startsWith('$(', at)) depth++
    if (depth > 0 && text[at] === ')') depth--
    if (depth > 0 && text[at] === '"') at += doubleQuoted(text.slice(at)).length - 1
    else if (depth > 0 && text[at] === '(' && text[at - 1] !== '$') depth++
    else if (text.startsWith('""', at)) at++
    else if (text[at] === '"') return text.slice(0, at + 1)
  }
  throw new Error(`A string has no end: ${text.slice(0, 80)}`)
}

const cmdlets =
  'New-Object ConvertFrom-Json Start-Sleep New-CimInstance Get-CimClass Invoke-CimMethod Add-Type Out-Null Split-Path Sort-Object New-Item Get-Acl Test-Path Get-FileHash Get-ChildItem Expand-Archive Set-Location Remove-Item Stop-Process'.split(
    ' ',
  )

describe('the wrapper for Windows', () => {
  it.each([
    ['wrapper', windowsWrapper],
    ['start', windowsStart],
  ])('has a form that Windows PowerShell 5.1 reads: %s', (_, text) => {
    expect(/^[\n\x20-\x7e]*$/.test(text), 'ASCII without tabs').toBe(true)
    expect(text).not.toContain('`')
    const code = bare(text)
    // Of PowerShell 7: chains, null-coalescing, null-conditional.
    expect(code).not.toMatch(/&&|\|\||\?\?|\?\./)
    const open: string[] = []
    for (const sign of code.replaceAll(/[^(){}[\]]/g, '')) {
      if ('({['.includes(sign)) open.push(sign)
      else expect(`${open.pop()}${sign}`).toMatch(/^(\(\)|\{\}|\[\])$/)
    }
    expect(open).toEqual([])
  })

  it('calls only what it defines or what Windows has, and uses all that it defines', () => {
    const code = bare(windowsWrapper)
    const defined = [...code.matchAll(/^function ([A-Za-z-]+)/gm)].map(([, name]) => name ?? '')
    const inStrings = [...windowsWrapper.matchAll(/\$\(([A-Z][a-z]+-[A-Z][A-Za-z]+)/g)].map(([, name]) => name ?? '')
    const bareCalls = [...code.matchAll(/(?<![\w$.-])([A-Z][a-z]+-[A-Z][A-Za-z]+)\b/g)].map(([, name]) => name ?? '')
    const called = [...bareCalls.filter((name, index) => bareCalls.indexOf(name) === index), ...inStrings]
    expect(called.filter((name) => !defined.includes(name) && !cmdlets.includes(name))).toEqual([])
    const used = (name: string) => windowsWrapper.split(new RegExp(`\\b${name}\\b`)).length > 2
    expect(defined.filter((name) => !used(name))).toEqual([])
  })

  it('knows the same commands as the one for Linux', () => {
    const posix = [...posixWrapper.matchAll(/^ {2}([a-z-]+)\) (?:shift|cmd)/gm)].map(([, name]) => name)
    const commands = windowsWrapper.slice(windowsWrapper.indexOf('switch ([string]$words[0])'))
    const windows = [...commands.matchAll(/^ {4}'([a-z-]+)' \{/gm)].map(([, name]) => name)
    expect(posix.length).toBeGreaterThan(9)
    expect(new Set(windows)).toEqual(new Set(posix))
  })

  it('is handed its words as they are, whatever they hold', async () => {
    const { channel, requests, put } = recordingChannel({
      ask: ['directory D:\\Köln'],
      install: ['path D:\\Köln\\coldframe-0123456789abcdef0123456789abcdef'],
      freeze: ['answer held', 'script pre-freeze f/1/pre-freeze 0 0 1 12 0'],
      thaw: ['thawed capture 15'],
      remove: ['removed 1'],
    })
    const value = 'größe "quoted" %PATH% $env:X `\r\n日本語 🧊'
    const scripts = [script('pre-freeze', 'exit 0', { fileName: 'freeze.ps1', entry: 'freeze.ps1' })]
    const token = '0123456789abcdef0123456789abcdef'
    const request = { token, elevated: true, scripts, environment: { VALUE: value } }
    const { path } = await installWorkspace(channel, request, cancel)
    const place = { family: 'windows', path, elevated: true } as const
    const freeze = { number: 1, limitMs: 2000, notAfterMs: 5 }
    expect(await freezeGuest(channel, { place, request: freeze }, cancel)).toMatchObject({ kind: 'held' })
    const thawed = await thawGuest(channel, { place, request: { number: 'all', by: 'watch', close: true } }, cancel)
    expect(thawed).toEqual({ by: 'capture', heldMs: 15, lostHolder: null, postThaw: null })
    await removeWorkspace(channel, place, cancel)

    expect(put).toEqual([`C:\\Temp\\d\\coldframe-${token}.ps1`, 'C:\\Temp\\d\\bundle-pre-freeze'])
    for (const { args, environment } of requests) {
      expect(args.join(' ')).toMatch(/^[A-Za-z0-9+/= -]+$/)
      expect(Buffer.from(args.at(-1) ?? '', 'base64').toString('utf16le')).toBe(windowsStart)
      expect(environment['COLDFRAME_WORDS']).toMatch(/^[\x20-\x7e]+$/)
    }
    const digest = scripts[0]?.sha256
    expect(requests.map(wordsOf)).toEqual([
      ['ask'],
      [
        'install',
        token,
        'D:\\Köln',
        'script',
        'pre-freeze',
        'plain',
        'freeze.ps1',
        digest,
        'freeze.ps1',
        '20000',
        '0',
      ].concat(['env', 'VALUE', value]),
      ['freeze', '1', '2000', '5'],
      ['thaw', 'all', 'watch', 'close'],
      ['remove'],
    ])
    expect(requests.at(-1)?.environment['COLDFRAME_PROGRAM']).toBe(`${path}\\wrapper.ps1`)
    expect(requests.map(({ elevated }) => elevated)).toEqual([false, true, true, true, true])
  })
})

function wordsOf({ environment }: ProgramRequest): readonly string[] {
  const { words } = JSON.parse(environment['COLDFRAME_WORDS'] ?? '') as { words: readonly string[] }
  return words
}

/** A channel that answers each command with the given lines, as the wrapper would. */
function recordingChannel(answers: Readonly<Record<string, readonly string[]>>) {
  const requests: ProgramRequest[] = []
  const put: string[] = []
  const channel: GuestChannel = {
    kind: 'winrm',
    family: 'windows',
    address: '192.0.2.9',
    whoAmI: async () => ({ user: 'tester', elevated: true, whyNot: null }),
    run: async (request) => {
      requests.push(request)
      const lines = ['', 'coldframe-wrapper 1', ...(answers[wordsOf(request)[0] ?? ''] ?? []), 'end', '']
      return { exitCode: 0, timedOut: false, stdout: lines.join('\r\n'), stderr: '' }
    },
    makeDirectory: async () => 'C:\\Temp\\d',
    put: async ({ path }) => {
      put.push(path)
    },
    get: async () => new Uint8Array(),
    digest: async () => '',
    remove: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
  return { channel, requests, put }
}
