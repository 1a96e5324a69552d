import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { printAnswer, printError } from '../../cli/answer.ts'
import { paceMeter } from '../../cli/rate.ts'
import { fileNameOf } from '../../cli/restore.ts'
import { printable, shortTime, table } from '../../cli/terminal.ts'
import { BackupError } from '../../lib/base/errors.ts'

describe('text for terminals', () => {
  it('never holds what acts on a terminal, whatever a VM is named', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        expect(printable(name)).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      }),
    )
    expect(printable('a\x1b[2Jb\u202ec\nd')).toBe('a?[2Jb?c?d')
  })

  it('lines tables up, numbers to the right, whatever is in the cells', () => {
    const columns = [
      { title: 'VM', align: 'left' },
      { title: 'SIZE', align: 'right' },
    ] as const
    expect(
      table(columns, [
        ['däta', '1 B'],
        ['x', '100 GiB'],
      ]),
    ).toBe('VM       SIZE\ndäta      1 B\nx     100 GiB\n')
    expect(table(columns, [])).toBe('VM  SIZE\n')
  })

  it('shows times in seconds', () => {
    expect(shortTime('2026-01-02T03:04:05.678Z')).toBe('2026-01-02 03:04:05')
    expect(shortTime(null)).toBe('-')
  })
})

it('a file is named for its VM without leading elsewhere or hiding', () => {
  expect(fileNameOf('web-01')).toBe('web-01')
  expect(fileNameOf('../../etc/passwd')).not.toMatch(/[/]|^\./)
  expect(fileNameOf('')).toBe('vm')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      expect(fileNameOf(name)).toMatch(/^[^./\\\p{Cc}][^/\\\p{Cc}]*$/su)
    }),
  )
})

describe('the pace', () => {
  it('is that of the last seconds, and says what is left', () => {
    const meter = paceMeter()
    expect(meter.look({ ms: 0, doneBytes: 0, totalBytes: 100_000 }).bytesPerSecond).toBe(null)
    expect(meter.look({ ms: 1000, doneBytes: 1000, totalBytes: 100_000 })).toEqual({
      bytesPerSecond: 1000,
      leftMs: 99_000,
    })
    meter.look({ ms: 11_000, doneBytes: 11_000, totalBytes: 100_000 })
    const { bytesPerSecond } = meter.look({ ms: 12_000, doneBytes: 31_000, totalBytes: 100_000 })
    expect(bytesPerSecond).toBeGreaterThan(2000)
  })

  it('starts anew when a new attempt begins at zero, and stays unknown while nothing moves', () => {
    const meter = paceMeter()
    meter.look({ ms: 0, doneBytes: 500, totalBytes: 1000 })
    expect(meter.look({ ms: 1000, doneBytes: 10, totalBytes: 1000 })).toEqual({ bytesPerSecond: null, leftMs: null })
    expect(meter.look({ ms: 2000, doneBytes: 10, totalBytes: 1000 })).toEqual({ bytesPerSecond: 0, leftMs: null })
  })
})

describe('an end', () => {
  const fault = new BackupError('It is damaged', {
    code: 'integrity',
    kind: 'integrity',
    hint: 'Look',
    facts: { faults: ['line 1: a', 'line 2: b'] },
  })

  it('with bad news prints the result, and sentence, faults and hint beside it', () => {
    const printed = printAnswer({ data: {}, text: 'result\n', fault }, { json: false })
    expect(printed).toEqual({
      stdout: 'result\n',
      stderr: 'It is damaged\n  line 1: a\n  line 2: b\nhint: Look\n',
      exitCode: 5,
    })
  })

  it('as a document holds what was found and the error', () => {
    const { stdout, stderr } = printAnswer({ data: { points: [] }, text: 'x', fault }, { json: true })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({
      v: 1,
      ok: false,
      data: { points: [] },
      error: {
        code: 'integrity',
        message: 'It is damaged',
        hint: 'Look',
        facts: { faults: ['line 1: a', 'line 2: b'] },
      },
    })
  })

  it('of broken code is exit code 1 and one sentence; the stack comes only when it is asked for', () => {
    const broken = new Error('Assertion failed: a thing')
    const short = printError(broken, { json: false, debug: false })
    expect(short).toMatchObject({ exitCode: 1, stdout: '' })
    expect(short.stderr).toContain('Assertion failed: a thing')
    expect(short.stderr).toContain('COLDFRAME_DEBUG=1')
    expect(short.stderr).not.toContain('terminal.test.ts')
    expect(printError(broken, { json: false, debug: true }).stderr).toContain('terminal.test.ts')
  })

  it('by several errors is told by the first that speaks of the world', () => {
    const many = new AggregateError([new Error('x'), fault])
    expect(printError(many, { json: false, debug: false }).exitCode).toBe(5)
    expect(printError(new DOMException('Stop', 'AbortError'), { json: false, debug: false }).exitCode).toBe(130)
  })
})
