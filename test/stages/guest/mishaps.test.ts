// What goes wrong around guest processing: power that changes between stages, doors that close behind us, errors of vCenter in
// the place of the guest's, clean-up that must be done again.

import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BackupError } from '../../../lib/base/errors.ts'
import { runIdOf } from '../../../lib/model/ids.ts'
import type { Job } from '../../../lib/model/job.ts'
import { newJob } from '../../../lib/model/new-job.ts'
import { defaultPolicy } from '../../../lib/model/policy.ts'
import type { GuestChannel } from '../../../lib/ports/guest.ts'
import { watch } from '../../../lib/stages/watch.ts'
import { backUpOne, expectRest, pointOfJob } from '../backups.ts'
import { chaos, type Process } from '../chaos.ts'
import { newEngine } from '../engine.ts'
import { addVm, cancel, newWorld, policyWith } from '../world.ts'
import { backUpGuest, type GuestWorld, guestPolicy, newGuestWorld, storeScript, workspacesIn } from './guest-world.ts'

async function scripts(made: GuestWorld, freeze = 'echo freeze >> "$HOME/log"') {
  const preFreeze = await storeScript(made, { name: 'freeze.sh', text: freeze })
  const postThaw = await storeScript(made, { name: 'thaw.sh', text: 'echo thaw >> "$HOME/log"' })
  return { preFreeze, postThaw }
}

async function logOf(made: GuestWorld): Promise<readonly string[]> {
  const text = await readFile(join(made.guest.place.disk, 'log'), 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}

/** Does something once, before a call of a stage. */
function onceBefore(process: string, call: string, act: () => void) {
  let done = false
  return chaos((made) => {
    if (done || made.process !== process || made.name !== call) return null
    done = true
    act()
    return null
  })
}

/** The same channel with some of its runs replaced. */
function withRuns(
  channel: GuestChannel,
  instead: (words: readonly string[], run: () => ReturnType<GuestChannel['run']>) => ReturnType<GuestChannel['run']>,
): GuestChannel {
  return { ...channel, run: (asked, within) => instead(asked.args, () => channel.run(asked, within)) }
}

describe('power that changes', () => {
  it('between look and snapshot makes an offline grade a crash grade', async () => {
    const world = await newWorld()
    const vm = addVm(world)
    vm.powerState = 'poweredOff'
    world.chaos = onceBefore('capture', 'vsphere.createSnapshot', () => {
      vm.powerState = 'poweredOn'
    })
    const engine = newEngine(world)
    const job = await backUpOne(engine)
    const grade = (await pointOfJob(world, job))?.body.grade
    expect(grade).toMatchObject({ reached: 'crash' })
    expect(grade?.fallbacks).toEqual(['The VM was started while the snapshot was made'])
    vm.powerState = 'poweredOff'
    world.chaos = onceBefore('capture', 'vsphere.createSnapshot', () => {
      vm.powerState = 'poweredOn'
    })
    const consistency = { ...defaultPolicy().consistency, require: 'filesystem' as const }
    expect((await backUpOne(engine, { policy: policyWith({ consistency }) })).outcome).toMatchObject({
      kind: 'failed',
      code: 'grade-not-reached',
    })
  })

  it('between prepare and capture never leaves out guest processing that is required', async () => {
    for (const [mode, outcome] of [
      ['require', { kind: 'failed' }],
      ['try', { kind: 'warning', code: 'grade-lower' }],
    ] as const) {
      await using made = await newGuestWorld()

      made.vm.powerState = 'poweredOff'
      // plan, prepare, capture: each opens its own session.
      let opens = 0
      made.world.chaos = chaos(({ name }) => {
        if (name === 'vsphere.open' && ++opens === 3) made.vm.powerState = 'poweredOn'
        return null
      })
      const policy = guestPolicy({ guest: { mode }, scripts: { linux: await scripts(made) } })
      const job = await backUpGuest(made, policy)
      expect(job.outcome).toMatchObject(outcome)
      expect(job.outcome?.message).toContain('was not running then')
      expect(await logOf(made)).toEqual([])
    }
  })
})

describe('doors', () => {
  it('that open and then let nothing through are followed by the next one', async () => {
    await using made = await newGuestWorld()

    made.onOpen = (channel) =>
      channel.kind === 'ssh'
        ? {
            ...channel,
            whoAmI: () => Promise.reject(new BackupError('Nothing comes back', { code: 'guest-unreachable' })),
          }
        : channel
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux: await scripts(made) } }))
    expect(job.outcome).toMatchObject({ kind: 'success' })
    const attempts = (await pointOfJob(made.world, job))?.body.grade.proof?.attempts
    expect(attempts?.map(({ channel, outcome }) => `${channel} ${outcome}`)).toEqual(['vix opened'])
    expect(job.guest?.attempts.map(({ channel, outcome }) => `${channel} ${outcome}`)).toEqual([
      'ssh unreachable',
      'vix opened',
    ])
  })

  it.each(['vcenter-fault', 'vcenter-http-status', 'host-certificate', 'vcenter-permission'])(
    'of VMware Tools that fail with %s do not fail a backup that can go on',
    async (code) => {
      await using made = await newGuestWorld()

      made.network = 'refused'
      made.vm.openGuest = async () => Promise.reject(new BackupError(`vCenter says ${code}`, { code, retry: 'later' }))
      const job = await backUpGuest(made, guestPolicy({ scripts: { linux: await scripts(made) } }))
      expect(job.outcome).toMatchObject({ kind: 'warning', code: 'guest-processing-failed' })
      expect(job.outcome?.message).toContain(code)
    },
  )

  it('that are another one at capture are the ones that the proof names', async () => {
    await using made = await newGuestWorld()

    const linux = await scripts(made)
    made.onOpen = (channel) => {
      made.network = 'refused'
      return channel
    }
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux } }))
    expect(job.outcome).toMatchObject({ kind: 'success' })
    const attempts = (await pointOfJob(made.world, job))?.body.grade.proof?.attempts
    expect(attempts?.at(-1)).toMatchObject({ channel: 'vix', outcome: 'opened' })
    expect(job.guest?.attempts).toMatchObject([{ channel: 'ssh', outcome: 'opened' }])
  })

  it('that refuse keep nobody from thawing and cleaning up by another one', async () => {
    await using made = await newGuestWorld()

    made.onOpen = (channel) =>
      withRuns(channel, async (words, run) => {
        const answer = await run()
        // From the thaw on the network way leads to a stranger.
        if (words.includes('thaw')) made.network = 'login-refused'
        return answer
      })
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux: await scripts(made) } }))
    expect(job.outcome).toMatchObject({ kind: 'success' })
    expect(await workspacesIn(made)).toEqual([])
  })
})

describe('scripts that fail', () => {
  it('leave what they said with the job', async () => {
    await using made = await newGuestWorld()

    const linux = await scripts(made, 'echo "line one" >&2; echo "line two" >&2; exit 4')
    const job = await backUpGuest(made, guestPolicy({ guest: { mode: 'require' }, scripts: { linux } }))
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'guest-processing-failed' })
    expect(job.evidence).toEqual([{ name: 'stderr of script pre-freeze (exit code 4)', text: 'line one\nline two\n' }])
  })

  it('fill no record beyond what a table holds', async () => {
    await using made = await newGuestWorld()

    const noise = `awk 'BEGIN { for (i = 0; i < 60000; i++) printf "%c", 1 }' >&2; exit 5`
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux: await scripts(made, noise) } }))
    expect(job.outcome).toMatchObject({ kind: 'warning' })
    expect(JSON.stringify(job).length).toBeLessThan(350_000)
  })

  it('freeze a guest only so often, however often the capture is made again', async () => {
    await using made = await newGuestWorld({ limits: { freezesMax: 3 } })

    made.vm.mishaps.quiesceFails = 100
    const linux = await scripts(made)
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux } }))
    expect(job.freezes).toBe(3)
    expect(job.outcome).toMatchObject({ kind: 'warning' })
    expect(job.outcome?.message).toContain('frozen 3 times already')
    expect((await logOf(made)).length).toBe(6)
    await expectRest(newEngine(made.world))
  })

  it('and whose thaw gives no answer are not frozen by again', async () => {
    await using made = await newGuestWorld({ limits: { thawCallMs: 300, cleanupMs: 0 } })

    made.tools = 'absent'
    made.onOpen = (channel) =>
      withRuns(channel, async (words, run) => {
        if (words.includes('thaw')) throw new BackupError('No answer', { code: 'guest-unreachable', retry: 'later' })
        return run()
      })
    const linux = await scripts(made)
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux, freezeLimitMs: 1_000 } }))
    expect(job.freezes).toBe(1)
    expect(job.outcome).toMatchObject({ kind: 'warning' })
    expect((await pointOfJob(made.world, job))?.body.grade).toMatchObject({ reached: 'filesystem' })
    expect(await logOf(made)).toEqual(['freeze', 'thaw'])
    expect(job.freezeDeadlineMs).toBeNull()
  })
})

describe('the post-commit script', () => {
  async function withPostCommit(made: GuestWorld, text: string) {
    const postCommit = await storeScript(made, { name: 'after.sh', text })
    return guestPolicy({ scripts: { linux: { ...(await scripts(made)), postCommit } } })
  }

  it('runs once, also where what comes after it must be done again', async () => {
    await using made = await newGuestWorld()

    let removals = 0
    made.onOpen = (channel) =>
      withRuns(channel, async (words, run) => {
        if (words.includes('remove') && ++removals <= 2)
          throw new BackupError('Cut', { code: 'guest-unreachable', retry: 'later' })
        return run()
      })
    const job = await backUpGuest(made, await withPostCommit(made, 'echo after >> "$HOME/log"; echo bad >&2; exit 3'))
    expect(removals).toBe(3)
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'post-commit-failed' })
    expect(job.outcome?.message).toContain('exit code 3')
    expect(job.evidence).toEqual([{ name: 'stderr of script post-commit (exit code 3)', text: 'bad\n' }])
    expect(await logOf(made)).toEqual(['freeze', 'thaw', 'after'])
    expect(await workspacesIn(made)).toEqual([])
  })

  it('whose end is not known is not begun again', async () => {
    await using made = await newGuestWorld()

    made.onOpen = (channel) =>
      withRuns(channel, async (words, run) => {
        const answer = await run()
        if (words.includes('run') && words.includes('post-commit'))
          throw new BackupError('Cut', { code: 'guest-unreachable', retry: 'later' })
        return answer
      })
    const job = await backUpGuest(made, await withPostCommit(made, 'echo after >> "$HOME/log"'))
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'post-commit-failed' })
    expect(job.outcome?.message).toContain('how it ended is not known')
    expect(await logOf(made)).toEqual(['freeze', 'thaw', 'after'])
  })

  it('that lay in the memory of a guest that was started anew is told not to have run', async () => {
    await using made = await newGuestWorld()

    let restarted = false
    made.onOpen = (channel) =>
      withRuns(channel, async (words, run) => {
        if (words.includes('run') && words.includes('post-commit') && !restarted) {
          restarted = true
          for (const name of await workspacesIn(made))
            await rm(join(made.guest.place.memory, name), { recursive: true })
        }
        return run()
      })
    const job = await backUpGuest(made, await withPostCommit(made, 'echo after >> "$HOME/log"'))
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'post-commit-failed' })
    expect(job.outcome?.message).toContain('started anew')
    expect(job.notices.map(({ code }) => code)).not.toContain('guest-left-behind')
  })
})

it('a job whose guest may still be frozen is not done before its timer must have thawed it', async () => {
  await using made = await newGuestWorld({ limits: { thawCallMs: 300, cleanupMs: 0, freezeStartMs: 1_500 } })

  made.tools = 'absent'
  let frozenAtMs = 0
  made.onOpen = (channel) =>
    withRuns(channel, async (words, run) => {
      if (words.includes('freeze')) frozenAtMs = Date.now()
      if (words.includes('thaw') || words.includes('remove')) {
        made.network = 'refused'
        throw new BackupError('Cut', { code: 'guest-unreachable', retry: 'later' })
      }
      return run()
    })
  const linux = await scripts(made)
  const policy = guestPolicy({ guest: { mode: 'require' }, scripts: { linux, freezeLimitMs: 1_000 } })
  const job = await backUpGuest(made, policy)
  expect(job.outcome).toMatchObject({ kind: 'failed', code: 'guest-processing-failed' })
  expect(job.notices.map(({ code }) => code)).toEqual(['guest-left-behind', 'thaw-unconfirmed'])
  expect(Date.now() - frozenAtMs).toBeGreaterThan(2_500)
  expect(await logOf(made)).toEqual(['freeze', 'thaw'])
  expect(await made.world.jobStore.dueJobs({ beforeMs: Number.MAX_SAFE_INTEGER, limit: 9 }, cancel)).toEqual([])
})

describe('watch', () => {
  it('thaws what is overdue also while whoever froze it is alive and says so', async () => {
    await using made = await newGuestWorld({
      limits: { claimMs: 60_000, overdueMs: 60_000, freezeStartMs: 100, quiesceTries: 1 },
    })

    const linux = await scripts(made)
    // The snapshot takes much longer than the freeze may, and this guest's own timer is gone.
    made.vm.mishaps.snapshotTakesMs = 4_000
    made.onOpen = (channel) =>
      withRuns(channel, async (words, run) => {
        const answer = await run()
        if (words.includes('freeze')) for (const pid of await timersOf(made)) process.kill(pid, 'SIGKILL')
        return answer
      })
    const policy = guestPolicy({ guest: { mode: 'require' }, scripts: { linux, freezeLimitMs: 1_000 } })
    await backUpGuest(made, { ...policy, consistency: { ...policy.consistency, want: 'crash' } })
    const overdue = made.world.log.lines.filter(({ event }) => event === 'freeze.overdue')
    const thawed = made.world.log.lines.filter(
      ({ event, facts }) => event === 'guest.thawed' && facts['by'] === 'watch',
    )
    expect(overdue.length).toBeGreaterThan(0)
    expect(thawed.length).toBeGreaterThan(0)
    expect((await logOf(made)).filter((line) => line === 'thaw').length).toBe((await logOf(made)).length / 2)
  })

  it('survives a store that fails while it thaws', async () => {
    const world = await newWorld()
    const process: Process = { name: 'watch', stop: new AbortController(), dead: false, onDeath: () => undefined }
    const deps = world.depsOf(process)
    const run = { id: runIdOf({ policy: defaultPolicy().name, key: 'k' }), policy: defaultPolicy(), full: false }
    const made = newJob({
      run,
      vm: { ...addVm(world), datacenter: 'DC' },
      groups: [],
      beginBefore: null,
      createdAt: '2026-01-02T03:04:05.000Z',
    })
    const job: Job = { ...made, state: 'capturing', freezes: 1, freezeDeadlineMs: world.clock.nowMs() - 1 }
    await world.jobStore.jobs.create(job.id, job, cancel)
    const full = () => Promise.reject(new BackupError('No space is left', { code: 'disk-full', retry: 'later' }))
    const jobs = { ...deps.jobStore.jobs, replace: full }
    const struck = { ...deps, jobStore: { ...deps.jobStore, jobs, dueRuns: full } }
    await expect(watch(struck, cancel)).rejects.toMatchObject({ code: 'disk-full' })
    expect((await world.jobStore.dueJobs({ beforeMs: world.clock.nowMs(), limit: 9 }, cancel)).length).toBe(1)
  })
})

/** Ids of the wrapper's timers in the guest. */
async function timersOf(made: GuestWorld): Promise<readonly number[]> {
  const found: number[] = []
  for (const pid of await made.guest.processes()) {
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (words.split('\0').includes('timer')) found.push(pid)
  }
  return found
}
