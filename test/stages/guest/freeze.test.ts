// The wrapper in guests with every shell that it has to run under: real scripts, real processes, real clocks.

import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { guestNowMs } from '../../../lib/stages/guest/freeze.ts'
import { isAlive } from '../../kit/process-tree.ts'
import { until } from '../../kit/programs.ts'
import { makeArchive } from './archives.ts'
import { guestShells } from './shells.ts'
import { bundle, cancel, type Preparation, prepare, recording, script } from './wrapper-kit.ts'

const [, postThaw] = recording
const thaw = postThaw === undefined ? [] : [postThaw]

/** Writes the numbers of processes that must die or live to the record. */
const pidLine = 'echo "$$" >> "$DISK/pids"\n'

for (const shell of guestShells) {
  const open = (more: Pick<Preparation, 'scripts'> & Partial<Preparation>) =>
    prepare({ ...more, channel: { ...shell.options, ...more.channel } })

  describe.skipIf(shell.absent)(`the wrapper under ${shell.name}`, { timeout: 120_000 }, () => {
    it('freezes and thaws, and says how long', async () => {
      await using guest = await open({ scripts: recording })

      expect(await guest.freeze()).toMatchObject({
        kind: 'held',
        preFreeze: { stage: 'pre-freeze', exitCode: 0, timedOut: false, succeeded: true, stderr: '' },
      })
      await delay(200)
      const answer = await guest.thaw()
      expect(answer).toMatchObject({ by: 'capture', postThaw: { stage: 'post-thaw', exitCode: 0, succeeded: true } })
      const [freezeMs = 0, thawMs = 0] = (await guest.lines()).map((line) => Number(line.split(' ')[1]) * 1000)
      expect(answer.heldMs).toBeGreaterThanOrEqual(200)
      expect(answer.heldMs).toBeLessThanOrEqual(thawMs - freezeMs + 5000)
      await until(async () => (await guest.guest.processes()).length === 0)
      expect(await guest.lines()).toHaveLength(2)
    })

    it('tells scripts what they need to know, as it is', async () => {
      const value = 'größe "quoted" $HOME `id` \\ 日本語\nsecond line\n'
      const text =
        'printf "%s|%s|%s|%s" "$VALUE" "$COLDFRAME_STAGE" "$COLDFRAME_FREEZE" "$(cat "näme mit leer")" > "$DISK/record"'
      const make = `mkdir b && printf inhalt > "b/näme mit leer" && printf '%s\\n' '${text}' > b/pre-freeze.sh && tar -czf "$OUT" -C b .`
      const scripts = [bundle('pre-freeze', await makeArchive(make), {})]
      await using guest = await open({ scripts, environment: { VALUE: value } })

      expect(await guest.freeze({ number: 7 })).toMatchObject({ kind: 'held' })
      expect((await guest.lines()).join('\n')).toBe(`${value.trimEnd()}\n|pre-freeze|7|inhalt`)
      expect(await guest.thaw({ number: 7 })).toMatchObject({ by: 'capture', postThaw: null })
    })

    it('says whether a process that pre-freeze named held the guest until the thaw', async () => {
      const named = (holder: string) =>
        script('pre-freeze', `${holder} &\necho $! >> "$COLDFRAME_HOLDERS"\necho "$!" >> "$DISK/pids"`)
      await using faithful = await open({ scripts: [named('sleep 600'), ...thaw] })

      expect(await faithful.freeze()).toMatchObject({ kind: 'held' })
      expect(await faithful.thaw()).toMatchObject({ by: 'capture', lostHolder: null })
      await using faithless = await open({ scripts: [named('sleep 0.3'), ...thaw] })

      expect(await faithless.freeze()).toMatchObject({ kind: 'held' })
      await delay(700)
      const answer = await faithless.thaw()
      expect(answer).toMatchObject({ by: 'capture', lostHolder: expect.any(Number) })
      expect(await faithless.thaw({ by: 'release' })).toMatchObject({ by: 'capture', lostHolder: answer.lostHolder })
    })

    it('ten thaws at once take effect once and give the same facts', async () => {
      await using guest = await open({ scripts: recording })

      await guest.freeze()
      const by = ['capture', 'watch', 'release', 'next-freeze', 'timer'] as const
      const thaws = Array.from({ length: 10 }, (_, index) => guest.thaw({ by: by[index % by.length] ?? 'capture' }))
      const answers = await Promise.all(thaws)
      expect(new Set(answers.map(({ by, heldMs }) => `${by} ${heldMs}`)).size).toBe(1)
      expect((await guest.lines()).map((line) => line.split(' ')[0])).toEqual(['freeze', 'thaw'])
    })

    it('a thaw that comes before its freeze keeps it from ever beginning', async () => {
      await using guest = await open({ scripts: recording })

      expect(await guest.thaw()).toEqual({ by: null, heldMs: 0, lostHolder: null, postThaw: null })
      expect(await guest.freeze()).toMatchObject({
        kind: 'late',
        reason: expect.stringContaining('freeze 1 began or was thawed before'),
      })
      expect(await guest.lines()).toEqual([])
    })

    it('uses each number once, none after a higher one, none after its time, and none in a closed workspace', async () => {
      await using guest = await open({ scripts: recording })

      const notAfterMs = (await guestNowMs(guest.channel, guest.place, cancel)) - 1
      expect(await guest.freeze({ number: 1, notAfterMs })).toMatchObject({ kind: 'late' })
      expect(await guest.freeze({ number: 2 })).toMatchObject({ kind: 'held' })
      expect(await guest.freeze({ number: 2 })).toMatchObject({ kind: 'late' })
      expect(await guest.freeze({ number: 1 })).toMatchObject({ kind: 'late' })
      expect(await guest.lines()).toHaveLength(1)
      expect(await guest.freeze({ number: 3 })).toMatchObject({ kind: 'held' })
      expect((await guest.lines()).map((line) => line.split(' ')[0])).toEqual(['freeze', 'thaw', 'freeze'])
      expect(await guest.thaw({ number: 2 })).toMatchObject({ by: 'next-freeze' })
      expect(await guest.thaw({ number: 'all', by: 'watch', close: true })).toMatchObject({ by: 'watch' })
      expect(await guest.freeze({ number: 4 })).toMatchObject({ kind: 'late' })
      expect(await guest.lines()).toHaveLength(4)
    })

    it('the timer alone thaws when nobody else comes', async () => {
      await using guest = await open({ scripts: recording })

      expect(await guest.freeze({ limitMs: 2000 })).toMatchObject({ kind: 'held' })
      await until(async () => (await guest.lines()).length === 2)
      const [freezeMs = 0, thawMs = 0] = (await guest.lines()).map((line) => Number(line.split(' ')[1]) * 1000)
      expect(thawMs - freezeMs).toBeGreaterThan(1000)
      const answer = await guest.thaw()
      expect(answer).toMatchObject({ by: 'timer', postThaw: { succeeded: true } })
      expect(answer.heldMs).toBeGreaterThan(1000)
      expect(await guest.lines()).toHaveLength(2)
    })

    it('a pre-freeze that hangs is killed at its own limit, with all that it started', async () => {
      const text = `#!/bin/sh\ntrap '' TERM\n${pidLine}sh -c '${pidLine}sleep 1000; :' &\nsetsid sh -c '${pidLine}sleep 1000; :' &\necho hangs >&2\nwait\nsleep 1000\n`
      await using guest = await open({ scripts: [script('pre-freeze', text, { timeoutMs: 1000 }), ...thaw] })

      const answer = await guest.freeze()
      expect(answer).toMatchObject({
        kind: 'script-failed',
        preFreeze: { exitCode: null, timedOut: true, succeeded: false, stderr: 'hangs\n' },
      })
      const pids = (await guest.lines('pids')).map(Number)
      expect(pids).toHaveLength(3)
      for (const pid of pids) expect(await isAlive(pid), `${pid}`).toBe(false)
      expect(await guest.thaw()).toMatchObject({ by: 'capture', postThaw: { succeeded: true } })
      expect(await guest.lines()).toHaveLength(1)
    })

    it('a pre-freeze that still runs at the freeze limit is killed first, then thawed', async () => {
      const text = `#!/bin/sh\ntrap '' TERM\n${pidLine}while :; do sleep 1; done\n`
      await using guest = await open({ scripts: [script('pre-freeze', text), ...thaw] })

      expect(await guest.freeze({ limitMs: 1500 })).toMatchObject({ kind: 'thawed-early', by: 'timer' })
      expect(await guest.thaw()).toMatchObject({ by: 'timer', postThaw: { succeeded: true } })
      expect((await guest.lines()).map((line) => line.split(' ')[0])).toEqual(['thaw'])
      const [pid = 0] = (await guest.lines('pids')).map(Number)
      expect(await isAlive(pid)).toBe(false)
    })

    it('a thaw ends a pre-freeze that still runs; the freeze says who thawed', async () => {
      const text = `#!/bin/sh\necho begun >> "$DISK/begun"\nsleep 1000\n`
      await using guest = await open({ scripts: [script('pre-freeze', text), ...thaw] })

      const freeze = guest.freeze()
      await until(async () => (await guest.lines('begun')).length === 1)
      expect(await guest.thaw({ by: 'watch' })).toMatchObject({ by: 'watch', postThaw: { succeeded: true } })
      expect(await freeze).toMatchObject({
        kind: 'thawed-early',
        by: 'watch',
        preFreeze: { exitCode: null, timedOut: false },
      })
    })

    it('what pre-freeze leaves running holds until the thaw, and its open streams hold up nobody', async () => {
      const text = `#!/bin/sh\n(trap 'echo released >> "$DISK/record"; exit' TERM; echo "$DISK/held"; while :; do sleep 0.1; done) &\necho "$!" >> "$DISK/pids"\necho warning >&2\n`
      await using guest = await open({ scripts: [script('pre-freeze', text), ...thaw] })

      const answer = await guest.freeze()
      expect(answer).toMatchObject({ kind: 'held', preFreeze: { stderr: 'warning\n' } })
      const [pid = 0] = (await guest.lines('pids')).map(Number)
      expect(await isAlive(pid)).toBe(true)
      await guest.thaw()
      expect(await isAlive(pid)).toBe(false)
      expect((await guest.lines()).map((line) => line.split(' ')[0])).toEqual(['thaw', 'released'])
    })

    it('keeps the first 64 KiB of a noisy script and never fails or stops it for that', async () => {
      const text = `#!/bin/sh\ni=0\nwhile [ "$i" -lt 3000 ]; do i=$((i + 1)); echo "line $i ${'ü'.repeat(30)}" >&2; echo out; done\necho end >> "$DISK/record"\nexit 3\n`
      await using guest = await open({ scripts: [script('pre-freeze', text, { successCodes: [0, 3] })] })

      const answer = await guest.freeze()
      if (answer.kind !== 'held') expect.fail(`${answer.kind}`)
      expect(answer.preFreeze).toMatchObject({ exitCode: 3, succeeded: true })
      const bytes = new TextEncoder().encode(answer.preFreeze.stderr)
      expect(bytes.byteLength).toBeGreaterThanOrEqual(65_536)
      expect(bytes.byteLength).toBeLessThan(65_540)
      expect(answer.preFreeze.stderr.startsWith(`line 1 ${'ü'.repeat(30)}\nline 2 `)).toBe(true)
      expect(await guest.lines()).toEqual(['end'])
      expect(await guest.thaw()).toMatchObject({ by: 'capture' })
    })

    it('a script that fails says so; the thaw is still to be called', async () => {
      await using guest = await open({ scripts: [script('pre-freeze', 'echo no >&2\nexit 4\n'), ...thaw] })

      expect(await guest.freeze()).toMatchObject({ kind: 'script-failed', preFreeze: { exitCode: 4, stderr: 'no\n' } })
      expect(await guest.thaw()).toMatchObject({ by: 'capture', postThaw: { succeeded: true } })
    })

    it('freeze and thaw at once never end in a freeze without a thaw', async () => {
      const rounds = shell.options.mounts === undefined ? 50 : 10
      await using guest = await open({ scripts: recording })

      for (let number = 1; number <= rounds; number++) {
        const before = (await guest.lines()).length
        const freezing = guest.freeze({ number })
        await delay((number * 37) % 260)
        const [answer, thawed] = await Promise.all([freezing, guest.thaw({ number })])
        const after = (await guest.lines()).slice(before).map((line) => line.split(' ')[0])
        // "freeze" may be absent where the script was killed before it wrote.
        if (thawed.by === null)
          expect({ number, answer: answer.kind, after }).toEqual({ number, answer: 'late', after: [] })
        else expect(after.filter((word) => word === 'thaw')).toEqual(['thaw'])
        if (answer.kind === 'held') expect(after).toEqual(['freeze', 'thaw'])
      }
    })
  })
}
