import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { lineEvents } from '../../../lib/adapters/local/events.ts'
import { fileLines, lineLog } from '../../../lib/adapters/local/log.ts'
import { lineNotifier } from '../../../lib/adapters/local/notifier.ts'
import { localSecrets } from '../../../lib/adapters/local/secrets.ts'
import { manualClock, systemClock } from '../../../lib/base/clock.ts'
import { BackupError } from '../../../lib/base/errors.ts'
import { clockContract } from '../../contract/clock.ts'
import { eventsContract } from '../../contract/events.ts'
import { notifierContract } from '../../contract/notifier.ts'
import { secretsContract } from '../../contract/secrets.ts'
import { domainEventOf } from '../../kit/cloud-events.ts'
import { temporaryFolder } from '../../kit/local-state.ts'

secretsContract('environment', async () => ({
  secrets: localSecrets({
    references: { known: { kind: 'environment', name: 'PASSWORD' } },
    environment: { PASSWORD: 'the value' },
  }),
  [Symbol.asyncDispose]: async () => {},
}))

secretsContract('file', async () => {
  const folder = await temporaryFolder()
  const path = join(folder.path, 'secret')
  await writeFile(path, 'the value\n')
  return {
    secrets: localSecrets({ references: { known: { kind: 'file', path } }, environment: {} }),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
})

eventsContract('file', async () => {
  const folder = await temporaryFolder()
  const path = join(folder.path, 'events', 'events.jsonl')
  return {
    events: lineEvents(fileLines(path)),
    published: async () => {
      const text = await readFile(path, 'utf8').catch(() => '')
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map(domainEventOf)
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
})

notifierContract('line', async () => {
  const lines: string[] = []
  return {
    notifier: lineNotifier((line) => lines.push(line), { clock: systemClock }),
    told: async () => lines,
    [Symbol.asyncDispose]: async () => {},
  }
})

clockContract('system', () => ({ clock: systemClock, pass: (ms) => delay(ms) }))

describe('secrets of one machine', () => {
  const signal = new AbortController().signal

  it('tell an unset variable, a missing file and an empty file apart', async () => {
    await using folder = await temporaryFolder()
    const empty = join(folder.path, 'empty')
    await writeFile(empty, '\n')
    const secrets = localSecrets({
      references: {
        unset: { kind: 'environment', name: 'NOT_THERE' },
        gone: { kind: 'file', path: join(folder.path, 'gone') },
        empty: { kind: 'file', path: empty },
      },
      environment: {},
    })

    await expect(secrets.read('unset', { signal })).rejects.toThrow(/"NOT_THERE" is not set/)
    await expect(secrets.read('gone', { signal })).rejects.toThrow(/cannot be read/)
    await expect(secrets.read('empty', { signal })).rejects.toThrow(/is empty/)
  })
})

describe('the log of one machine', () => {
  it('writes one JSON line an event, with what is bound to it and the causes of an error', () => {
    const lines: string[] = []
    const log = lineLog((line) => lines.push(line), { clock: manualClock(0) }).with({ job: 'j1' })
    log.info('part.moved', { readBytes: 5 })
    log.error(
      'job.failed',
      new BackupError('Cannot read', { code: 'disk-read-failed', cause: new Error('reset\nby peer') }),
    )

    expect(lines.every((line) => line.endsWith('\n') && line.indexOf('\n') === line.length - 1)).toBe(true)
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { at: '1970-01-01T00:00:00.000Z', level: 'info', event: 'part.moved', job: 'j1', readBytes: 5 },
      {
        at: '1970-01-01T00:00:00.000Z',
        level: 'error',
        event: 'job.failed',
        job: 'j1',
        error: 'Cannot read',
        code: 'disk-read-failed',
        causes: ['reset\nby peer'],
      },
    ])
  })
})
