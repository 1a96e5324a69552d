// The task program from outside: exit codes, and that it ends with its parent.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { folderStore } from '../../lib/adapters/local/folder-store.ts'
import { sqliteJobStore } from '../../lib/adapters/local/job-store.ts'
import { passphraseWrapper } from '../../lib/adapters/local/passphrase.ts'
import { openState } from '../../lib/adapters/local/state.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { statePathOf } from '../../lib/compose/local-places.ts'
import { parseJobId, sessionIdOf } from '../../lib/model/ids.ts'
import { NO_USAGE } from '../../lib/model/usage.ts'
import { createRepository } from '../../lib/repository/open-repository.ts'

const program = fileURLToPath(new URL('../../task/main.ts', import.meta.url))
const cancel = { signal: new AbortController().signal }
const job = ['move', '--job', '0123456789abcdef0123456789abcdef', '--attempt', '1']
let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coldframe-task-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function start(args: readonly string[], environment: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [program, ...args], { env: { PATH: process.env['PATH'], ...environment } })
  return { child, stdout: text(child.stdout), stderr: text(child.stderr), exit: once(child, 'exit') }
}

function settings(vcenter: string) {
  return {
    COLDFRAME_VCENTER: vcenter,
    COLDFRAME_VCENTER_USER: 'u',
    COLDFRAME_VCENTER_PASSWORD: 'p',
    COLDFRAME_HOME: join(folder, 'home'),
    COLDFRAME_REPOSITORY: `file:${join(folder, 'repository')}`,
    COLDFRAME_PASSPHRASE: 'a passphrase',
  }
}

describe('task/main', () => {
  it('refuses a call that it does not know with exit code 2 and its usage', async () => {
    const { stderr, exit } = start(['fly'], settings('https://127.0.0.1:1'))
    expect((await exit)[0]).toBe(2)
    expect(await stderr).toContain('move --job ID --attempt N')
  })

  it('refuses to start without settings with exit code 2', async () => {
    const { stdout, exit } = start(job, {})
    expect((await exit)[0]).toBe(2)
    expect(await stdout).toContain('settings-faulty')
  })

  it('ends with exit code 3 when there is no repository', async () => {
    const { stdout, exit } = start(job, settings('https://127.0.0.1:1'))
    expect((await exit)[0]).toBe(3)
    expect(await stdout).toContain('repository-missing')
  })

  it('fails with exit code 1 when there is no such job', async () => {
    await makeRepository()
    const { stdout, exit } = start(job, settings('https://127.0.0.1:1'))
    expect((await exit)[0]).toBe(1)
    expect(await stdout).toContain('job-not-found')
  })

  it.each(['SIGTERM', 'end of input'])('stops within seconds, with exit code 130, by %s', async (way) => {
    await makeRepository()
    // Held by nobody that lives: the program waits for the hold to lapse when it is stopped.
    const jobId = parseJobId('0123456789abcdef0123456789abcdef')
    {
      using state = await openState(
        { path: statePathOf(join(folder, 'home')), clock: systemClock, random: systemRandom },
        cancel,
      )
      const heldUntilMs = systemClock.nowMs() + 60_000
      const attempt = { jobId, attempt: 1, holder: 'gone', heldUntilMs, progress: [], usage: NO_USAGE, result: null }
      await sqliteJobStore(state).attempts.create(sessionIdOf(jobId, 1), attempt, cancel)
    }
    const { child, exit } = start(job, settings('https://127.0.0.1:1'))
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    expect(child.exitCode).toBeNull()
    const startedMs = performance.now()
    if (way === 'SIGTERM') child.kill('SIGTERM')
    else child.stdin.end()
    expect((await exit)[0]).toBe(130)
    expect(performance.now() - startedMs).toBeLessThan(9_000)
  })
})

async function makeRepository(): Promise<void> {
  const store = folderStore({ path: join(folder, 'repository') })
  const cost = { memoryKiB: 64, passes: 1, lanes: 1 }
  const wrapper = passphraseWrapper({ passphrase: 'a passphrase', random: systemRandom, cost })
  await createRepository({ store, wrappers: [wrapper], random: systemRandom, clock: systemClock }, cancel)
}
