// A real file system, frozen by a real fsfreeze, with the script's data and the current directory on it. Root on Linux only, where it
// may mount.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { canFreeze, canMount } from '../kit/mounts.ts'
import { peerSkip } from '../kit/peers.ts'
import { openProcessGuest } from '../kit/process-guest.ts'
import { killAll } from '../kit/process-tree.ts'
import { until } from '../kit/programs.ts'
import { linesOf, prepare, prepareIn, script, through } from '../stages/guest/wrapper-kit.ts'

type Volume = AsyncDisposable & { readonly path: string; isFrozen(): Promise<boolean> }

/** An ext4 on a loop device. Disposing thaws it first: a frozen one could not be unmounted. */
async function openVolume(): Promise<Volume> {
  const directory = await mkdtemp(join(tmpdir(), 'coldframe-volume-'))
  const [image, path] = [join(directory, 'image'), join(directory, 'mount')]
  const made = run(
    'sh',
    '-c',
    `truncate -s 32M "$0" && mke2fs -q -t ext4 "$0" && mkdir "$1" && mount -o loop "$0" "$1"`,
    image,
    path,
  )
  if (made !== '') throw new Error(`No file system could be mounted: ${made}`)
  return {
    path,
    // A write is tried by a process of its own: it waits until the thaw, and cannot be killed before.
    isFrozen: async () => {
      const probe = spawn('touch', [join(path, 'probe')], { stdio: 'ignore' })
      const written = once(probe, 'exit').then(() => false)
      return await Promise.race([written, delay(700, true)])
    },
    [Symbol.asyncDispose]: async () => {
      run('fsfreeze', '-u', path)
      run('umount', path)
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** @returns what it complained of; empty when it succeeded */
function run(program: string, ...args: readonly string[]): string {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  return status === 0 ? '' : `${program}: ${stderr}`
}

const freezes = 'cd "$VOLUME" && echo data >> data && fsfreeze -f "$VOLUME" && echo frozen\n'
const thaws = 'cd "$VOLUME"; fsfreeze -u "$VOLUME"\n'

describe.skipIf(peerSkip('mke2fs') || !canFreeze())('a frozen file system', { timeout: 60_000 }, () => {
  it('is thawed by the timer alone, and takes writes again', async () => {
    await using volume = await openVolume()
    await using made = await prepare({
      scripts: [script('pre-freeze', freezes), script('post-thaw', thaws)],
      environment: { VOLUME: volume.path },
    })

    const answer = await made.freeze({ limitMs: 3000 })
    expect(answer).toMatchObject({ kind: 'held', preFreeze: { succeeded: true } })
    expect(await volume.isFrozen()).toBe(true)
    await until(async () => !(await volume.isFrozen()), 15_000)
    const thawed = await made.thaw()
    expect(thawed).toMatchObject({ by: 'timer', postThaw: { succeeded: true } })
    expect(thawed.heldMs).toBeGreaterThan(2000)
    await writeFile(join(volume.path, 'after'), 'written')
    expect(await readFile(join(volume.path, 'after'), 'utf8')).toBe('written')
  })

  it('is thawed by capture, whose channel has its current directory on it', async () => {
    await using volume = await openVolume()
    await using made = await prepare({
      scripts: [script('pre-freeze', freezes), script('post-thaw', thaws)],
      environment: { VOLUME: volume.path },
      channel: { mounts: `cd ${volume.path}` },
    })

    expect(await made.freeze()).toMatchObject({ kind: 'held' })
    expect(await volume.isFrozen()).toBe(true)
    expect(await made.thaw()).toMatchObject({ by: 'capture', postThaw: { succeeded: true } })
    expect(await volume.isFrozen()).toBe(false)
  })

  it('is thawed when pre-freeze froze it and then hangs on it', async () => {
    await using volume = await openVolume()
    const hangs = `${freezes}echo more >> "$VOLUME/data"\n`
    await using made = await prepare({
      scripts: [script('pre-freeze', hangs, { timeoutMs: 1000 }), script('post-thaw', thaws)],
      environment: { VOLUME: volume.path },
    })

    expect(await made.freeze()).toMatchObject({ kind: 'script-failed', preFreeze: { timedOut: true, exitCode: null } })
    // The thaw comes first, and once more when the process that it set free is gone: then fsfreeze finds nothing frozen.
    const thawed = await made.thaw()
    expect(thawed).toMatchObject({ by: 'capture', postThaw: { timedOut: false } })
    expect(thawed.heldMs).toBeLessThan(10_000)
    expect(await volume.isFrozen()).toBe(false)
  })

  it('is thawed when a second one, kept on it, comes to be frozen only after the thaw', async () => {
    // The inner file system lies on the outer: freezing it waits for writes that the outer holds up, and cannot be killed.
    await using volume = await openVolume()
    const [image, inner] = [join(volume.path, 'image'), `${volume.path}-inner`]
    const making = `truncate -s 8M "$0" && mke2fs -q -t ext4 "$0" && mkdir -p "$1" && mount -o loop "$0" "$1"`
    expect(run('sh', '-c', making, image, inner)).toBe('')
    try {
      const both = 'echo data > "$INNER/data"; fsfreeze -f "$VOLUME"; fsfreeze -f "$INNER"\n'
      const undo = 'fsfreeze -u "$VOLUME"; fsfreeze -u "$INNER"; :\n'
      await using made = await prepare({
        scripts: [script('pre-freeze', both, { timeoutMs: 2000 }), script('post-thaw', undo)],
        environment: { VOLUME: volume.path, INNER: inner },
      })

      await made.freeze({ limitMs: 20_000 })
      expect(await made.thaw()).toMatchObject({ by: 'capture' })
      const write = (path: string) => spawnSync('timeout', ['-s', 'KILL', '5', 'touch', join(path, 'probe')]).status
      expect([write(volume.path), write(inner)]).toEqual([0, 0])
    } finally {
      run('fsfreeze', '-u', volume.path)
      run('fsfreeze', '-u', inner)
      run('umount', inner)
    }
  })
})

describe.skipIf(!canMount())('a guest that cannot write to any disk', { timeout: 60_000 }, () => {
  it('freezes, and is thawed by capture and by the timer', async () => {
    const stages = ['pre-freeze', 'post-thaw'] as const
    const scripts = stages.map((stage) =>
      script(
        stage,
        `#!/bin/sh\necho ${stage} >> "$TMPDIR/record"\nif (echo x > "$DISK/x") 2> /dev/null; then exit 9; fi\n`,
      ),
    )
    await using made = await prepare({ scripts })

    const held = through(made, made.guest.open({ mounts: 'mount -o remount,bind,ro /' }))
    const record = () => linesOf(join(made.place.path, 't', 'record'))
    expect(await held.freeze()).toMatchObject({ kind: 'held' })
    expect(await held.thaw()).toMatchObject({ by: 'capture', postThaw: { succeeded: true } })
    expect(await record()).toEqual(['pre-freeze', 'post-thaw'])
    expect(await held.freeze({ number: 2, limitMs: 1000 })).toMatchObject({ kind: 'held' })
    await until(async () => (await record()).length === 4, 15_000)
    expect(await held.thaw({ number: 2 })).toMatchObject({ by: 'timer', postThaw: { succeeded: true } })
  })

  it('thaws although its scripts have filled the memory that the workspace lies in, where nothing may be executed', async () => {
    await using guest = await openProcessGuest()
    const { memory } = guest.place
    expect(run('mount', '-t', 'tmpfs', '-o', 'noexec,nosuid,size=1m', 'tmpfs', memory)).toBe('')
    try {
      const fills = 'dd if=/dev/zero of="$TMPDIR/full" bs=64k 2> /dev/null; (while :; do echo x; sleep 0.1; done) & :\n'
      const thaw = 'echo thawed >> "$DISK/record"; echo warn >&2\n'
      const made = await prepareIn(guest, { scripts: [script('pre-freeze', fills), script('post-thaw', thaw)] })
      const freezing = made.freeze({ limitMs: 2000 }).catch((error: unknown) => error)
      expect(await made.lines()).toEqual([])
      await freezing
      await until(async () => (await made.lines()).length > 0, 15_000)
      expect(await made.thaw()).toMatchObject({ by: 'timer' })
      expect(await made.lines()).toEqual(['thawed'])
    } finally {
      for (let left = await guest.processes(); left.length > 0; left = await guest.processes()) killAll(left)
      expect(run('umount', memory)).toBe('')
    }
  })
})
