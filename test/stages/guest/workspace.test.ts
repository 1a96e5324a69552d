// Laying the wrapper into a guest, and taking it out again.

import { statfsSync } from 'node:fs'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BackupError } from '../../../lib/base/errors.ts'
import { freezeGuest, thawGuest } from '../../../lib/stages/guest/freeze.ts'
import { installWorkspace, removeByToken, removeWorkspace, runScript } from '../../../lib/stages/guest/workspace.ts'
import { canMount } from '../../kit/mounts.ts'
import { type ChannelOptions, openProcessGuest } from '../../kit/process-guest.ts'
import { until } from '../../kit/programs.ts'
import { makeArchive } from './archives.ts'
import { bundle, cancel, prepare, recording, script } from './wrapper-kit.ts'

const mayMount = canMount()
/** Where /tmp is a tmpfs there is no disk to be refused. */
const diskIsMemory = statfsSync(tmpdir()).type === 0x01021994
const token = '0123456789abcdef0123456789abcdef'
const entry = "printf 'echo ok\\n' > pre-freeze.sh"

/** An installation that must fail, and leave nothing in the guest. @returns the error */
async function refused(scripts: Parameters<typeof prepare>[0]['scripts'], options: ChannelOptions = {}) {
  await using guest = await openProcessGuest()

  const request = { token, elevated: false, scripts, environment: {} }
  const error = await installWorkspace(guest.open(options), request, cancel).catch((thrown: unknown) => thrown)
  expect(await readdir(guest.place.memory)).toEqual([])
  expect(await readdir(guest.place.disk)).toEqual([])
  if (!(error instanceof BackupError)) expect.fail(`it was not refused: ${error}`)
  return error
}

describe('a workspace', () => {
  it('lies in a fresh directory that only the account can enter, and nothing stays elsewhere', async () => {
    await using made = await prepare({ scripts: recording })

    expect(made.place.path).toBe(join(made.guest.place.memory, `coldframe-${made.token}`))
    expect((await stat(made.place.path)).mode & 0o777).toBe(0o700)
    expect(await readdir(made.guest.place.disk)).toEqual([])
    const request = { token: made.token, elevated: false, scripts: [], environment: {} }
    await expect(installWorkspace(made.channel, request, cancel)).rejects.toMatchObject({
      code: 'guest-workspace-failed',
      message: expect.stringContaining('cannot be made'),
    })
    expect((await made.freeze()).kind).toBe('held')
    await made.thaw()
  })

  it('is refused when a script arrives with another digest than the pinned one', async () => {
    const error = await refused([script('pre-freeze', 'echo ok\n', { sha256: 'a'.repeat(64) })])
    expect(error.code).toBe('guest-script-damaged')
    expect(error.message).toContain('must have aaaa')
  })

  it('is refused when a bundle would write outside of itself or holds links', async () => {
    const make = [
      'echo evil > escaped && cd b && tar -czPf "$OUT" ../escaped pre-freeze.sh',
      'echo evil > escaped && tar -czPf "$OUT" "$PWD/escaped" pre-freeze.sh',
      'ln -s /tmp link && tar -czf "$OUT" link pre-freeze.sh',
      'ln pre-freeze.sh hard && tar -czf "$OUT" pre-freeze.sh hard',
      'mkfifo pipe && tar -czf "$OUT" pipe pre-freeze.sh',
    ]
    for (const each of make) {
      const bytes = await makeArchive(`${entry}; mkdir -p b; cp pre-freeze.sh b; ${each}`)
      expect(await refused([bundle('pre-freeze', bytes, {})]), each).toMatchObject({ code: 'guest-script-unfit' })
    }
    const python = (more: string) => `python3 -c 'import os, zipfile
with zipfile.ZipFile(os.environ["OUT"], "w") as z:
  z.writestr("pre-freeze.sh", "echo ok")
  ${more}'`
    const link = 'link = zipfile.ZipInfo("link"); link.create_system = 3; link.external_attr = 0o120777 << 16'
    for (const each of ['z.writestr("../escaped", "evil")', `${link}; z.writestr(link, "/tmp")`]) {
      const zipped = bundle('pre-freeze', await makeArchive(python(each)), { fileName: 'a.zip' })
      expect(await refused([zipped]), each).toMatchObject({ code: 'guest-script-unfit' })
    }
  })

  it('is refused when a bundle is none, or lacks its entry', async () => {
    const noise = bundle('pre-freeze', new TextEncoder().encode('no archive'), {})
    expect(await refused([noise])).toMatchObject({ code: 'guest-script-unfit' })
    const bytes = await makeArchive(`${entry}; tar -czf "$OUT" pre-freeze.sh`)
    expect(await refused([bundle('pre-freeze', bytes, { entry: 'other.sh' })])).toMatchObject({
      code: 'guest-script-unfit',
      message: 'Cannot install the wrapper in the guest: The bundle of pre-freeze holds no file "other.sh"',
    })
  })

  it('takes zip archives where there is unzip, and says so where there is none', async () => {
    const python = `import zipfile
with zipfile.ZipFile(__import__("os").environ["OUT"], "w") as z:
  z.writestr("tief/größe.sh", "echo ok > \\"$DISK/record\\"")`
    const bytes = await makeArchive(`python3 -c '${python}'`)
    const zipped = bundle('pre-freeze', bytes, { fileName: 'a.ZIP', entry: 'tief/größe.sh' })
    await using made = await prepare({ scripts: [zipped] })

    expect((await made.freeze()).kind).toBe('held')
    expect(await made.lines()).toEqual(['ok'])
    if (!mayMount) return
    const error = await refused([zipped], { mounts: 'mount --bind /dev/null "$(command -v unzip)"' })
    expect(error.message).toContain('unzip is not installed')
  })

  it('runs scripts by the interpreter that they name, also with the line ends of Windows', async () => {
    for (const first of ['#!/usr/bin/env bash', '#! /bin/bash -e \r', '#!/bin/bash', '']) {
      const text = `${first}\necho "$0" > "$DISK/record"; echo "\${BASH_VERSION:+bash}" >> "$DISK/record"\n`
      await using made = await prepare({ scripts: [script('pre-freeze', text)] })

      expect(await made.freeze(), first).toMatchObject({ kind: 'held' })
      const path = `${made.place.path}/b/pre-freeze/pre-freeze.sh`
      expect(await made.lines()).toEqual(first === '' ? [path] : [path, 'bash'])
    }
  })

  it('runs the post-commit script as often as asked, and says when there is none', async () => {
    const text = 'echo "$COLDFRAME_STAGE" >> "$DISK/record"; echo warn >&2; exit 2\n'
    await using made = await prepare({ scripts: [script('post-commit', text, { successCodes: [0, 2] })] })

    const request = { place: made.place, stage: 'post-commit' } as const
    for (const count of [1, 2]) {
      const run = await runScript(made.channel, request, cancel)
      expect(run).toMatchObject({ stage: 'post-commit', exitCode: 2, succeeded: true, stderr: 'warn\n' })
      expect(await made.lines()).toHaveLength(count)
    }
    await expect(made.freeze()).rejects.toMatchObject({ code: 'guest-script-missing' })
  })
})

describe('the place of a workspace', () => {
  it.skipIf(diskIsMemory)('is memory: a disk is refused, also when the operator names it', async () => {
    await using guest = await openProcessGuest()

    const environment = { COLDFRAME_GUEST_DIRECTORY: guest.place.disk }
    const request = { token, elevated: false, scripts: [], environment: {} }
    const channel = guest.open({ environment })
    const { path } = await installWorkspace(channel, request, cancel)
    expect(path.startsWith(guest.place.disk)).toBe(false)
    await removeByToken(channel, { token, elevated: false }, cancel)
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
    if (!mayMount) return
    const mounts = `mount --bind ${guest.place.disk} /dev/shm; mount --bind ${guest.place.disk} /run`
    const none = installWorkspace(guest.open({ environment, mounts }), request, cancel)
    await expect(none).rejects.toMatchObject({
      code: 'guest-no-memory-place',
      message: expect.stringMatching(/"\/run" is on \S+, not in memory; "\/dev\/shm" is on/),
      hint: expect.stringContaining('COLDFRAME_GUEST_DIRECTORY'),
    })
    expect(await readdir(guest.place.disk)).toEqual([])
  })

  it.skipIf(!mayMount)(
    'is not /dev/shm where systemd empties it at logout, and no timer is trusted to a dying login',
    async () => {
      await using guest = await openProcessGuest()

      const run = join(guest.place.disk, 'run')
      await mkdir(join(run, 'systemd/system'), { recursive: true })
      await mkdir(join(run, 'systemd/logind.conf.d'), { recursive: true })
      await writeFile(join(run, 'systemd/logind.conf.d/x.conf'), '[Login]\nKillUserProcesses=yes\n')
      const system = `mount --bind ${run} /run; chmod -R a+rwX ${guest.place.disk} ${guest.place.memory}`
      const login = 'set -- setpriv --reuid 12345 --regid 12345 --clear-groups "$@"'
      const request = { token, elevated: false, scripts: recording, environment: { DISK: guest.place.disk } }
      const user = guest.open({ mounts: `${system}\n${login}` })
      await expect(installWorkspace(user, request, cancel)).rejects.toMatchObject({
        code: 'guest-no-memory-place',
        message: expect.stringContaining('RemoveIPC=yes'),
      })
      const root = guest.open({ mounts: system })
      const { path } = await installWorkspace(root, request, cancel)
      const place = { family: 'linux', path, elevated: false } as const
      const freeze = { number: 1, limitMs: 20_000, notAfterMs: 1e12 }
      const broken = guest.open({ mounts: `${system}\nmount --bind /bin/false "$(command -v systemd-run)"` })
      expect(await freezeGuest(broken, { place, request: freeze }, cancel)).toMatchObject({
        kind: 'no-timer',
        reason: expect.stringContaining('KillUserProcesses=yes'),
      })
      expect(await readdir(guest.place.disk)).not.toContain('record')
      const stand = join(guest.place.disk, 'systemd-run')
      await writeFile(stand, `#!/bin/sh\necho "$*" >> ${guest.place.disk}/scopes\nshift 2\nexec "$@"\n`, {
        mode: 0o755,
      })
      const working = guest.open({ mounts: `${system}\nmount --bind ${stand} "$(command -v systemd-run)"` })
      expect(await freezeGuest(working, { place, request: { ...freeze, number: 2 } }, cancel)).toMatchObject({
        kind: 'held',
      })
      const thaw = { number: 2, by: 'capture' } as const
      expect(await thawGuest(working, { place, request: thaw }, cancel)).toMatchObject({ by: 'capture' })
    },
  )
})

describe('removing a workspace', () => {
  it('thaws what is frozen, ends the timer, and leaves nothing; what is gone already is no error', async () => {
    await using made = await prepare({ scripts: recording })

    expect((await made.freeze()).kind).toBe('held')
    expect((await made.guest.processes()).length).toBeGreaterThan(0)
    await removeWorkspace(made.channel, made.place, cancel)
    expect((await made.lines()).map((line) => line.split(' ')[0])).toEqual(['freeze', 'thaw'])
    expect(await readdir(made.guest.place.memory)).toEqual([])
    await until(async () => (await made.guest.processes()).length === 0)
    await removeWorkspace(made.channel, made.place, cancel)
    await expect(made.freeze()).rejects.toMatchObject({ code: 'guest-workspace-missing' })
    await expect(made.thaw()).rejects.toMatchObject({ code: 'guest-workspace-missing' })
  })

  it('leaves alone what post-thaw started for good', async () => {
    const starts = script('post-thaw', 'sleep 1000 & echo "$!" > "$DISK/pids"\n')
    await using made = await prepare({ scripts: [script('pre-freeze', ':\n'), starts] })

    await made.freeze()
    await made.thaw()
    await removeWorkspace(made.channel, made.place, cancel)
    expect(await made.guest.processes()).toContain(Number((await made.lines('pids'))[0]))
  })

  it('by its token finds what an installation left that broke off at any call', async () => {
    for (let failCall = 2; ; failCall++) {
      await using guest = await openProcessGuest()

      let calls = 0
      const onCall = () => {
        if (++calls >= failCall) throw new BackupError('Cut', { code: 'guest-unreachable' })
      }
      const request = { token, elevated: false, scripts: recording, environment: { A: 'b' } }
      const done = await installWorkspace(guest.open({ onCall }), request, cancel).then(
        () => true,
        () => false,
      )
      await removeByToken(guest.open(), { token, elevated: false }, cancel)
      expect(await readdir(guest.place.memory)).toEqual([])
      // Before the first file is in it, a directory of the guest's temporary storage cannot be told to be ours.
      expect(await readdir(guest.place.disk)).toHaveLength(failCall === 2 ? 1 : 0)
      if (done) return
    }
  })

  it('says when it may not look', async () => {
    await using guest = await openProcessGuest()

    const path = join(guest.place.memory, 'gone', `coldframe-${token}`)
    await removeWorkspace(guest.open(), { family: 'linux', path, elevated: false }, cancel)
    if (!mayMount) return
    await mkdir(dirname(path), { mode: 0o700 })
    const login = 'set -- setpriv --reuid 12345 --regid 12345 --clear-groups "$@"'
    const user = guest.open({ mounts: `chmod a+rx ${guest.place.memory} ${guest.place.disk}\n${login}` })
    const place = { family: 'linux', path, elevated: false } as const
    await expect(removeWorkspace(user, place, cancel)).rejects.toMatchObject({ code: 'guest-workspace-failed' })
  })
})
