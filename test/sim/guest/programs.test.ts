// Programs of simulated guests are real: these tests look for them among the processes of this machine.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../../../lib/base/clock.ts'
import { SimFault } from '../../../sim/machine/types.ts'
import { canMount } from '../../kit/mounts.ts'
import { startSimProgram } from '../api/sim-program.ts'
import { guestsDirectory, openGuestKit, plain, root, start } from './guest-kit.ts'
import { startProgram } from './start-by-soap.ts'

const isRoot = process.getuid?.() === 0

describe('a program of a guest', () => {
  it('runs in the account’s home with the guest’s own environment, and tells its exit code', async () => {
    using kit = openGuestKit()

    const ended = await kit.sh('pwd >out; env >env; exit 7')
    expect(ended).toMatchObject({ exitCode: 7, owner: 'backup', name: 'sh' })
    expect(readFileSync(join(kit.home, 'home/out'), 'utf8').trim()).toBe(join(kit.home, 'home'))
    const environment = readFileSync(join(kit.home, 'home/env'), 'utf8')
    expect(environment).toContain(`COLDFRAME_GUEST_DIRECTORY=${kit.home}/memory\n`)
    expect(environment).toContain(`TMPDIR=${kit.home}/tmp\n`)
    expect(environment).toContain('LANG=C.UTF-8\n')
    expect(environment).not.toContain('VITEST')
  })

  it('gets its arguments through the guest’s shell, as they stand', async () => {
    using kit = openGuestKit()

    const { programs } = kit.system
    const out = join(kit.home, 'home/out')
    const spec = { programPath: '/usr/bin/printf', workingDirectory: null, environment: ['WORD=two words'] }
    programs?.start(plain, { ...spec, arguments: `'%s|' "$WORD" $WORD >${out}` })
    await expect.poll(() => existsSync(out) && readFileSync(out, 'utf8')).toBe('two words|two|words|')
  })

  it.runIf(isRoot)('runs as nobody for a plain account, and as root for an elevated one', async () => {
    using kit = openGuestKit()

    await kit.sh('id -u >"$HOME/plain"')
    await kit.sh('id -u >"$HOME/root"', root)
    expect(readFileSync(join(kit.home, 'home/plain'), 'utf8')).toBe('65534\n')
    expect(readFileSync(join(kit.home, 'home/root'), 'utf8')).toBe('0\n')
  })

  it('is refused when it is not there, or is to run where there is no directory', () => {
    using kit = openGuestKit()

    const spec = { programPath: '/no/such', arguments: '', workingDirectory: null, environment: [] }
    expect(faultOf(() => kit.system.programs?.start(plain, spec))).toBe('FileNotFound')
    const elsewhere = { ...spec, programPath: '/bin/true', workingDirectory: '/no/such' }
    expect(faultOf(() => kit.system.programs?.start(plain, elsewhere))).toBe('FileNotFound')
    expect(faultOf(() => kit.system.programs?.start(plain, { ...elsewhere, workingDirectory: '/bin/true' }))).toBe(
      'NotADirectory',
    )
  })

  it('is forgotten some time after its end', async () => {
    const clock = manualClock()
    using kit = openGuestKit({ clock, exitKeepMs: 1000 })

    const { pid } = await kit.sh('exit 1')
    clock.advance(1000)
    expect(kit.system.programs?.list(null).map((one) => one.pid)).toContain(pid)
    clock.advance(1)
    expect(kit.system.programs?.list(null).map((one) => one.pid)).not.toContain(pid)
  })

  it('is ended alone by TerminateProcessInGuest; its children go on and are still told of', async () => {
    using kit = openGuestKit()

    const pid = start(kit.system, 'sleep 601 & echo $! >child; wait')
    await expect.poll(() => existsSync(join(kit.home, 'home/child'))).toBe(true)
    const child = Number(readFileSync(join(kit.home, 'home/child'), 'utf8'))
    await kit.system.programs?.terminate(plain, pid)
    const listed = kit.system.programs?.list(null) ?? []
    expect(listed.find((one) => one.pid === pid)?.endedMs).not.toBeNull()
    expect(listed.find((one) => one.pid === child)).toMatchObject({ name: 'sleep', exitCode: null })
    await expect(kit.system.programs?.terminate(plain, 1)).rejects.toMatchObject({ fault: 'GuestProcessNotFound' })
  })

  it('ends with the guest, with all its descendants, also those that left its session', async () => {
    using kit = openGuestKit()

    start(kit.system, 'for n in 1 2 3; do setsid sh -c "sleep 602; sleep 602" & done; echo >started; exec sleep 602')
    start(kit.system, 'env -i sleep 602')
    await expect.poll(() => running('602').length).toBeGreaterThanOrEqual(5)
    kit.machine.powerOff()
    expect(running('602')).toEqual([])
    expect(kit.system.programs?.list(null)).toEqual([])
  })

  it('loses what it kept in memory when the guest is powered off, and nothing else', async () => {
    using kit = openGuestKit()

    await kit.sh('echo a >"$COLDFRAME_GUEST_DIRECTORY/a"; echo b >"$TMPDIR/b"')
    expect(existsSync(join(kit.home, 'memory/a'))).toBe(true)
    kit.machine.powerOff()
    kit.machine.powerOn()
    expect(existsSync(join(kit.home, 'memory/a'))).toBe(false)
    expect(existsSync(join(kit.home, 'tmp/b'))).toBe(true)
  })
})

describe('a private directory', () => {
  it('is removed at the end also when a program has closed it to everybody', async () => {
    const kit = openGuestKit()
    await kit.sh('mkdir -p "$TMPDIR/a/b" && touch "$TMPDIR/a/b/c" && chmod 0 "$TMPDIR/a/b" && chmod 555 "$TMPDIR/a"')
    kit[Symbol.dispose]()
    expect(existsSync(kit.home)).toBe(false)
  })
})

describe('guest-writes', () => {
  it('holds the guest’s writes from its return on, until they are resumed; twice is as good as once', async () => {
    using kit = openGuestKit()

    const { guest } = kit.machine
    expect(await kit.sh('guest-writes hold && guest-writes hold')).toMatchObject({ exitCode: 0 })
    expect(guest.held).toBe(true)
    const before = kit.machine.digestNow(2000)
    guest.step(3)
    guest.burst(100_000)
    expect(kit.machine.digestNow(2000)).toBe(before)
    expect(await kit.sh('guest-writes resume && guest-writes resume')).toMatchObject({ exitCode: 0 })
    guest.step(1)
    expect(kit.machine.digestNow(2000)).not.toBe(before)
    expect(guest.holds).toEqual([{ by: 'script', atMs: expect.any(Number), untilMs: expect.any(Number) }])
  })

  it('has taken effect when it returns, however fast it is called', async () => {
    using kit = openGuestKit()

    const line = 'for n in 1 2 3 4 5 6 7 8; do guest-writes hold || exit 1; guest-writes resume || exit 1; done'
    expect(await kit.sh(line)).toMatchObject({ exitCode: 0 })
    expect(kit.machine.guest.holds).toHaveLength(8)
    expect(kit.machine.guest.held).toBe(false)
  })

  it('refuses anything else, and a power-off ends what it held', async () => {
    using kit = openGuestKit()

    expect(await kit.sh('guest-writes pause')).toMatchObject({ exitCode: 2 })
    await kit.sh('guest-writes hold')
    kit.machine.powerOff()
    expect(kit.machine.guest.held).toBe(false)
  })
})

describe('the simulator', () => {
  it('leaves no program and no file when it ends', async () => {
    const directory = guestsDirectory()
    {
      await using sim = await startSimProgram('--estate', 'demo', '--guest-programs', directory)

      await startProgram(sim, { vm: 'vm-101', path: '/bin/sh', args: `-c 'setsid sleep 603 & sleep 603'` })
      await expect.poll(() => running('603').length).toBe(2)
    }
    expect(running('603')).toEqual([])
    expect(existsSync(directory)).toBe(false)
  })

  it('leaves no program when it is killed', async () => {
    const directory = guestsDirectory()
    const sim = await startSimProgram('--estate', 'demo', '--guest-programs', directory)
    try {
      await startProgram(sim, { vm: 'vm-101', path: '/bin/sh', args: `-c 'setsid sleep 604 & sleep 604'` })
      await expect.poll(() => running('604').length).toBe(2)
      process.kill(sim.pid, 'SIGKILL')
      await expect.poll(() => running('604'), { timeout: 20_000 }).toEqual([])
    } finally {
      await sim[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
    }
  })

  // As on macOS: a process of its own that sees an empty /proc.
  it.runIf(canMount())('are ended with their process groups where there is no /proc', () => {
    const kitPath = join(import.meta.dirname, 'guest-kit.ts')
    const script = `const { openGuestKit, plain, start } = await import(${JSON.stringify(kitPath)})
      const kit = openGuestKit()
      const { programs } = kit.system
      const short = start(kit.system, 'exit 3')
      const long = start(kit.system, 'sleep 605 & sleep 605')
      const stopped = start(kit.system, 'exec sleep 605')
      const of = (pid) => programs.list(null).find((one) => one.pid === pid)
      while (of(short).endedMs === null) await new Promise((resolve) => setTimeout(resolve, 5))
      await programs.terminate(plain, stopped)
      console.log(JSON.stringify([of(short).exitCode, of(long).endedMs, of(stopped).endedMs !== null]))
      kit[Symbol.dispose]()`
    const line = 'mount -t tmpfs none /proc && exec "$0" --input-type=module -e "$1"'
    const { stdout, stderr } = spawnSync('unshare', ['--mount', '/bin/sh', '-c', line, process.execPath, script], {
      encoding: 'utf8',
    })
    expect({ stdout, stderr }).toEqual({ stdout: '[3,null,true]\n', stderr: '' })
    expect(running('605')).toEqual([])
  })

  it('takes no directory that holds files of others', async () => {
    await expect(startSimProgram('--estate', 'small', '--guest-programs', '/usr')).rejects.toThrow(/ended with 2/)
  })
})

/** Pids of this machine whose command line ends with this word. */
function running(word: string): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').endsWith(`sleep\0${word}\0`)
    } catch {
      return false
    }
  })
}

function faultOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof SimFault) return error.fault
    throw error
  }
  return 'none'
}
