import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { sqliteJobStore } from '../../../lib/adapters/local/job-store.ts'
import { resetReceipts, sqliteQueue } from '../../../lib/adapters/local/queue.ts'
import { memoryLog } from '../../../lib/adapters/memory/log.ts'
import { manualClock } from '../../../lib/base/clock.ts'
import { openStateAt, temporaryFolder, temporaryState } from '../../kit/local-state.ts'
import { startProgram } from '../../kit/programs.ts'
import { fullJob, sampleJob, sampleJobId, sampleVmHistory } from '../../kit/record-samples.ts'

const cancel = { signal: new AbortController().signal }
const program = (name: string): string => join(import.meta.dirname, 'programs', name)

describe('the state file', () => {
  // Three writers are killed in the middle of their loops; what each was told before is looked up afterwards.
  it('loses nothing that was answered when its writers are killed', { timeout: 60_000 }, async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'state.db')
    for (let round = 0; round < 3; round++) {
      const answered: string[] = []
      const writers = ['a', 'b'].map((name) => startProgram(program('write-loop.ts'), [path, `${name}${round}`]))
      await Promise.all(
        writers.map(async (writer, index) => {
          for (let count = 0; count < 20 + 15 * round + 7 * index; count++) answered.push((await writer.line()) ?? '')
          await writer.kill('SIGKILL')
          for (let rest = await writer.line(); rest !== null; rest = await writer.line()) answered.push(rest)
        }),
      )

      using state = await openStateAt(path)
      const store = sqliteJobStore(state)
      expect(answered.length).toBeGreaterThan(40)
      for (const name of answered) expect(await store.resources.get(name, cancel)).not.toBe(null)
      const check = state.read((sql) => sql('PRAGMA integrity_check').get())
      expect(check?.['integrity_check']).toBe('ok')
      const sent = state.read((sql) => sql('SELECT count(*) AS count FROM messages').get())
      expect(Number(sent?.['count'])).toBeGreaterThanOrEqual(answered.length)
    }
  })

  it('is opened by many at once when it is new', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'new', 'state.db')
    const writers = [1, 2, 3].map((number) => startProgram(program('write-loop.ts'), [path, `w${number}`]))

    expect(await Promise.all(writers.map((writer) => writer.line()))).toEqual(['w1-0', 'w2-0', 'w3-0'])
    await Promise.all(writers.map((writer) => writer.kill('SIGKILL')))
  })

  it('belongs to its owner alone', async () => {
    await using opened = await temporaryState()

    expect((await stat(opened.state.path)).mode & 0o777).toBe(0o600)
  })

  it('of version 1 is taken over with everything in it', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'state.db')
    const database = new DatabaseSync(path)
    database.exec(await readFile(join(import.meta.dirname, 'state-v1.sql'), 'utf8'))
    database.close()

    using state = await openStateAt(path)
    const store = sqliteJobStore(state)
    const [job] = await store.recentJobs({ limit: 9 }, cancel)
    expect(job).toMatchObject({ state: 'releasing', freezes: 0, guest: null, evidence: [] })
    expect(job?.policy.consistency).toMatchObject({ want: 'filesystem', vss: { backupType: 'copy' } })
    expect(job?.policy.guest).toMatchObject({ mode: 'off', subnets: { only: [], none: [] }, overrides: [] })
    expect(job?.capture?.grade.proof).toBeNull()
    expect(await store.recentRuns({ limit: 9 }, cancel)).toHaveLength(1)
    expect(await store.dueRuns({ beforeMs: 1e15, limit: 9 }, cancel)).toHaveLength(1)
    expect(await store.dueJobs({ beforeMs: 1e15, limit: 9 }, cancel)).toHaveLength(1)
    const { vmId } = job?.vm ?? sampleJob().vm
    const trust = { hostKeys: { pins: ['SHA256:x'], learned: 'vix' as const, at: 'now' }, certificates: null }
    expect(await store.guests.create(vmId, trust, cancel)).toBe('created')
    expect((await store.guests.get(vmId, cancel))?.value).toEqual(trust)
    expect(await store.vms.create(vmId, sampleVmHistory(), cancel)).toBe('created')
  })

  it('refuses a file that a newer program wrote, and leaves it alone', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'state.db')
    ;(await openStateAt(path))[Symbol.dispose]()
    const database = new DatabaseSync(path)
    database.exec('PRAGMA user_version = 99')
    database.close()

    await expect(openStateAt(path)).rejects.toMatchObject({
      code: 'state-newer',
      kind: 'refused',
      facts: { version: 99 },
    })
  })

  it('refuses a database of another program and a file that is none', async () => {
    await using folder = await temporaryFolder()
    const foreign = join(folder.path, 'foreign.db')
    const database = new DatabaseSync(foreign)
    database.exec('CREATE TABLE songs (title TEXT)')
    database.close()
    await expect(openStateAt(foreign)).rejects.toMatchObject({ code: 'state-foreign' })

    const text = join(folder.path, 'text.db')
    await writeFile(text, 'this is no database, but it is long enough to be looked at as if it were one. '.repeat(20))
    await expect(openStateAt(text)).rejects.toMatchObject({ code: 'state-damaged', kind: 'integrity' })
  })

  it.skipIf(process.getuid?.() === 0)('says where it may not write', async () => {
    await using folder = await temporaryFolder()
    await chmod(folder.path, 0o500)

    await expect(openStateAt(join(folder.path, 'state.db'))).rejects.toMatchObject({ code: 'state-unwritable' })
  })

  it('says that its folder cannot be made', async () => {
    await using folder = await temporaryFolder()
    await writeFile(join(folder.path, 'file'), '')

    await expect(openStateAt(join(folder.path, 'file', 'state.db'))).rejects.toMatchObject({ code: 'state-unwritable' })
  })

  // A limit on the file's pages makes SQLite answer SQLITE_FULL, as it does on a full disk.
  it('refuses a write on a full disk, keeps what was there, and goes on when there is room', async () => {
    await using opened = await temporaryState()
    const { state } = opened
    const store = sqliteJobStore(state)
    await store.jobs.create(sampleJob().id, fullJob(), cancel)
    const limit = (pages: number): unknown => state.read((sql) => sql(`PRAGMA max_page_count = ${pages}`).get())
    limit(1)
    const fill = async (): Promise<void> => {
      for (let number = 0; number < 200; number++) {
        await store.jobs.create(sampleJobId(number), { ...fullJob(), id: sampleJobId(number) }, cancel)
      }
    }

    await expect(fill()).rejects.toMatchObject({ code: 'disk-full', retry: 'later' })
    expect((await store.jobs.get(sampleJob().id, cancel))?.value).toEqual(fullJob())
    limit(1_000_000)
    await fill()
  })

  it('drops a message body that nobody can read once it is dead, and says so', async () => {
    await using opened = await temporaryState()
    const clock = manualClock()
    const log = memoryLog()
    const queue = sqliteQueue(opened.state, { clock, receivesMax: 2, log })
    opened.state.write((sql) =>
      sql(`INSERT INTO messages (queue, body, visible_at_ms, receive_count) VALUES ('plan', '{"v":9}', 0, 0)`).run(),
    )
    for (let receipt = 0; receipt < 2; receipt++) {
      expect(await queue.receive('plan', { max: 1, visibilityMs: 1000 }, cancel)).toEqual([])
      clock.advance(1000)
    }

    expect(await queue.takeDead(cancel)).toEqual([])
    expect(log.lines.map(({ event }) => event)).toContain('message.unreadable')
    expect(opened.state.read((sql) => sql('SELECT 1 FROM messages').get())).toBe(undefined)
  })

  it('gives a new engine every message that its predecessor had in hand, with all tries', async () => {
    await using opened = await temporaryState()
    const clock = manualClock()
    const queue = sqliteQueue(opened.state, { clock, receivesMax: 2, log: memoryLog() })
    const message = { v: 1, kind: 'capture', jobId: sampleJob().id, attempt: 1, round: 0 } as const
    const receive = () => queue.receive('capture', { max: 10, visibilityMs: 60_000 }, cancel)
    await queue.send(message, { delayMs: 0 }, cancel)
    await queue.send({ ...message, round: 1 }, { delayMs: 30_000 }, cancel)
    for (let death = 0; death < 5; death++) {
      expect((await receive()).map(({ receiveCount }) => receiveCount)).toEqual([1])
      resetReceipts(opened.state, clock)
    }

    expect(await queue.takeDead(cancel)).toEqual([])
    clock.advance(30_000)
    expect(await receive()).toHaveLength(2)
  })
})
