// Freeze, snapshot, thaw in the whole pipeline: what makes a freeze count, what voids it, and what finish does afterwards.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { GuestChannel } from '../../../lib/ports/guest.ts'
import { expectRest, ourSnapshots, pointOfJob } from '../backups.ts'
import { newEngine } from '../engine.ts'
import { backUpGuest, type GuestWorld, guestPolicy, newGuestWorld, storeScript, workspacesIn } from './guest-world.ts'

const FREEZE = 'echo "freeze $COLDFRAME_FREEZE" >> "$HOME/log"'
const THAW = 'echo "thaw $COLDFRAME_FREEZE" >> "$HOME/log"'

async function scripts(made: GuestWorld, text: { readonly freeze?: string; readonly thaw?: string } = {}) {
  const preFreeze = await storeScript(made, { name: 'freeze.sh', text: text.freeze ?? FREEZE })
  const postThaw = await storeScript(made, { name: 'thaw.sh', text: text.thaw ?? THAW })
  return { preFreeze, postThaw }
}

async function logOf(made: GuestWorld): Promise<readonly string[]> {
  const text = await readFile(join(made.guest.place.disk, 'log'), 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}

async function expectClean(made: GuestWorld): Promise<void> {
  await expectRest(newEngine(made.world))
  expect(ourSnapshots(made.vm)).toEqual([])
  expect(await workspacesIn(made)).toEqual([])
}

/** The connection is gone from the call on that `when` picks. */
function cutAt(channel: GuestChannel, when: (words: readonly string[]) => boolean, cut: () => void): GuestChannel {
  return {
    ...channel,
    run: (request, within) => {
      if (when(request.args)) cut()
      return channel.run(request, within)
    },
  }
}

describe('a snapshot with scripts', () => {
  it('is taken between pre-freeze and post-thaw, and the point keeps the proof', async () => {
    await using made = await newGuestWorld()

    const job = await backUpGuest(made, guestPolicy({ scripts: { linux: await scripts(made) } }))
    expect(job.outcome).toMatchObject({ kind: 'success' })
    const grade = (await pointOfJob(made.world, job))?.body.grade
    expect(grade).toMatchObject({
      requested: 'application',
      reached: 'application',
      method: 'scripts',
      quiesced: true,
      fallbacks: [],
      proof: {
        family: 'linux',
        attempts: [{ channel: 'ssh', address: '192.0.2.1', outcome: 'opened' }],
        thawedBy: 'capture',
        scripts: [
          { stage: 'pre-freeze', exitCode: 0, timedOut: false, succeeded: true },
          { stage: 'post-thaw', exitCode: 0, timedOut: false, succeeded: true },
        ],
        vss: null,
      },
    })
    expect(grade?.freezeMs).toBeGreaterThan(0)
    expect(await logOf(made)).toEqual(['freeze 1', 'thaw 1'])
    await expectClean(made)
  })

  it('freezes anew for each try that quiescing fails, then goes on with the scripts alone', async () => {
    await using made = await newGuestWorld()

    made.vm.mishaps.quiesceFails = 3
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux: await scripts(made) } }))
    expect(job.outcome).toMatchObject({ kind: 'success' })
    expect(job.freezes).toBe(4)
    const grade = (await pointOfJob(made.world, job))?.body.grade
    expect(grade).toMatchObject({ reached: 'application', quiesced: false, method: 'scripts' })
    expect(await logOf(made)).toEqual([1, 2, 3, 4].flatMap((number) => [`freeze ${number}`, `thaw ${number}`]))
    await expectClean(made)
  })

  it('whose task outlasts the freeze limit is void, removed, and never called consistent by scripts', async () => {
    await using made = await newGuestWorld({ limits: { quiesceTries: 2 } })

    made.vm.mishaps.snapshotTakesMs = 1_500
    const linux = await scripts(made)
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux, freezeLimitMs: 1_000 } }))
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'grade-lower' })
    const grade = (await pointOfJob(made.world, job))?.body.grade
    expect(grade).toMatchObject({ reached: 'filesystem', freezeMs: 0, proof: { thawedBy: null } })
    expect(grade?.fallbacks.join('; ')).toContain('thawed by timer')
    const log = await logOf(made)
    expect(log).toEqual([1, 2, 3, 4].flatMap((number) => [`freeze ${number}`, `thaw ${number}`]))
    await expectClean(made)
  })

  it('that the policy requires with guest processing fails rather than yield less', async () => {
    await using made = await newGuestWorld({ limits: { quiesceTries: 1 } })

    made.vm.mishaps.snapshotTakesMs = 1_500
    const linux = await scripts(made)
    const policy = guestPolicy({
      consistency: { require: 'application' },
      scripts: { linux, freezeLimitMs: 1_000 },
    })
    const job = await backUpGuest(made, policy)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'grade-not-reached' })
    expect(job.outcome?.message).toContain('before the snapshot was made for certain')
    expect(await pointOfJob(made.world, job)).toBeNull()
    await expectClean(made)
  })

  it('is thawed through VMware Tools when the network is cut after the freeze, and counts', async () => {
    await using made = await newGuestWorld()

    made.onOpen = (channel) =>
      channel.kind === 'vix'
        ? channel
        : cutAt(
            channel,
            (words) => words.includes('thaw') && words.includes('capture'),
            () => {
              made.network = 'refused'
              if ('cut' in channel && typeof channel.cut === 'function') channel.cut('left')
            },
          )
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux: await scripts(made) } }))
    expect(job.outcome).toMatchObject({ kind: 'success' })
    const grade = (await pointOfJob(made.world, job))?.body.grade
    expect(grade).toMatchObject({ reached: 'application', proof: { thawedBy: 'capture' } })
    expect(made.opened).toContain('vix')
    expect(await logOf(made)).toEqual(['freeze 1', 'thaw 1'])
    await expectClean(made)
  })

  it('whose guest went away in the middle of pre-freeze is taken without it, and the timer thaws', async () => {
    await using made = await newGuestWorld({ limits: { cleanupMs: 0, thawCallMs: 500 } })

    made.onOpen = (channel) =>
      cutAt(
        channel,
        (words) => words.includes('freeze'),
        () => {
          made.network = 'refused'
          made.tools = 'absent'
          const cut = 'cut' in channel && typeof channel.cut === 'function' ? channel.cut : () => undefined
          setTimeout(() => cut('left'), 300)
        },
      )
    const linux = await scripts(made, { freeze: `${FREEZE}; sleep 1` })
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux, freezeLimitMs: 2_000 } }))
    expect(job.outcome).toMatchObject({ kind: 'warning' })
    expect(job.notices.map((notice) => notice.code)).toContain('guest-left-behind')
    expect((await pointOfJob(made.world, job))?.body.grade).toMatchObject({ reached: 'filesystem' })
    const endMs = Date.now() + 10_000
    while (!(await logOf(made)).includes('thaw 1') && Date.now() < endMs)
      await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await logOf(made)).toEqual(['freeze 1', 'thaw 1'])
    await expectRest(newEngine(made.world))
  })

  it('stays what it is when post-thaw fails, with a warning', async () => {
    await using made = await newGuestWorld()

    const linux = await scripts(made, { thaw: `${THAW}; echo cannot go on >&2; exit 3` })
    const job = await backUpGuest(made, guestPolicy({ guest: { mode: 'require' }, scripts: { linux } }))
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'post-thaw-failed' })
    const grade = (await pointOfJob(made.world, job))?.body.grade
    expect(grade).toMatchObject({ reached: 'application' })
    expect(grade?.proof?.scripts[1]).toMatchObject({ exitCode: 3, succeeded: false, stderr: 'cannot go on\n' })
    await expectClean(made)
  })

  it('whose lock was lost before the thaw is void', async () => {
    await using made = await newGuestWorld({ limits: { quiesceTries: 1 } })

    made.vm.mishaps.snapshotTakesMs = 700
    const linux = await scripts(made, { freeze: 'sleep 0.2 &\necho $! >> "$COLDFRAME_HOLDERS"' })
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux } }))
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'grade-lower' })
    expect(job.outcome?.message).toContain('which pre-freeze named as holding the guest')
    expect((await pointOfJob(made.world, job))?.body.grade).toMatchObject({ reached: 'filesystem' })
    await expectClean(made)
  })

  it('counts exit codes as the policy says, and stderr never', async () => {
    await using made = await newGuestWorld()

    const preFreeze = await storeScript(made, {
      name: 'freeze.sh',
      text: 'echo a warning >&2; exit 2',
      successCodes: [0, 2],
    })
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux: { preFreeze } } }))
    expect((await pointOfJob(made.world, job))?.body.grade).toMatchObject({
      reached: 'application',
      proof: { scripts: [{ exitCode: 2, succeeded: true, stderr: 'a warning\n' }] },
    })
    await expectClean(made)
  })
})

describe('the post-commit script', () => {
  it('runs once the point is committed, and its failure is a warning', async () => {
    await using made = await newGuestWorld()

    const linux = await scripts(made)
    const postCommit = await storeScript(made, { name: 'after.sh', text: 'echo after >> "$HOME/log"; exit 9' })
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux: { ...linux, postCommit } } }))
    expect(job.outcome).toMatchObject({ kind: 'warning', code: 'post-commit-failed' })
    expect(job.outcome?.message).toContain('exit code 9')
    expect(await logOf(made)).toEqual(['freeze 1', 'thaw 1', 'after'])
    await expectClean(made)
  })

  it('never runs after a failure', async () => {
    await using made = await newGuestWorld()

    const linux = await scripts(made, { freeze: `${FREEZE}; exit 1` })
    const postCommit = await storeScript(made, { name: 'after.sh', text: 'echo after >> "$HOME/log"' })
    const policy = guestPolicy({ guest: { mode: 'require' }, scripts: { linux: { ...linux, postCommit } } })
    expect((await backUpGuest(made, policy)).outcome).toMatchObject({ kind: 'failed' })
    expect(await logOf(made)).toEqual(['freeze 1', 'thaw 1'])
    await expectClean(made)
  })
})

describe('bundles', () => {
  it('whose digest is not the pinned one are not injected', async () => {
    await using made = await newGuestWorld()

    const { preFreeze } = await scripts(made)
    const changed = { preFreeze: { ...preFreeze, sha256: 'ab'.repeat(32) } }
    const tried = await backUpGuest(made, guestPolicy({ scripts: { linux: changed } }))
    expect(tried.outcome).toMatchObject({ kind: 'warning', code: 'guest-processing-failed' })
    expect(tried.outcome?.message).toContain('the policy pins')
    const required = guestPolicy({ guest: { mode: 'require' }, scripts: { linux: changed } })
    expect((await backUpGuest(made, required)).outcome).toMatchObject({
      kind: 'failed',
      code: 'guest-processing-failed',
    })
    expect(made.opened).toEqual([])
    await expectClean(made)
  })

  it('that are not there are named', async () => {
    await using made = await newGuestWorld()

    const { preFreeze } = await scripts(made)
    const missing = { preFreeze: { ...preFreeze, bundle: 'scripts/none.sh' } }
    const job = await backUpGuest(made, guestPolicy({ scripts: { linux: missing } }))
    expect(job.outcome?.message).toContain('"scripts/none.sh"')
  })
})

describe('a secret', () => {
  it('that is missing ends guest processing, not the backup, unless it is required', async () => {
    await using made = await newGuestWorld()

    made.world.accounts.clear()
    const linux = await scripts(made)
    const tried = await backUpGuest(made, guestPolicy({ scripts: { linux } }))
    expect(tried.outcome).toMatchObject({ kind: 'warning', code: 'guest-processing-failed' })
    const required = guestPolicy({ guest: { mode: 'require' }, scripts: { linux } })
    expect((await backUpGuest(made, required)).outcome).toMatchObject({ kind: 'failed' })
  })
})
