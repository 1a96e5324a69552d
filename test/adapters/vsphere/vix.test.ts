// The VMware Tools channel when things go wrong: accounts, rights, Tools, sessions, transfers; against the simulator.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { BackupError } from '../../../lib/base/errors.ts'
import type { ProgramRequest } from '../../../lib/ports/guest.ts'
import type { SimVcenterOptions } from './sim-vcenter.ts'
import { fastClock, openVixKit, plainAccount, rootAccount, type VixKit } from './vix-kit.ts'

const cancel = { signal: AbortSignal.timeout(300_000) }
const plain = { args: [], environment: {}, workingDirectory: null, timeoutMs: 600_000, elevated: false }
const sh = (line: string, ...args: readonly string[]): ProgramRequest => ({
  ...plain,
  program: '/bin/sh',
  args: ['-c', line, ...args],
})

async function failureOf(act: Promise<unknown>): Promise<BackupError> {
  const error = await act.then(
    () => new Error('it succeeded'),
    (failure: unknown) => failure,
  )
  if (error instanceof BackupError) return error
  throw error
}

function machineOf({ sim }: VixKit, name = 'app-01') {
  const [machine] = sim.estate.named(name)
  if (machine === undefined) throw new Error(`no machine "${name}"`)
  return machine
}

/** Directories of runs that lie in the guest. */
async function runsIn(kit: VixKit): Promise<{ readonly temporary: string; names(): readonly string[] }> {
  const made = await kit.channel.makeDirectory(cancel)
  await kit.channel.remove(made, cancel)
  const temporary = dirname(made)
  return { temporary, names: () => readdirSync(temporary).filter((name) => name.startsWith('coldframe-vix-')) }
}

/** Everything an error would show or store. */
function shown(error: BackupError): string {
  const parts: unknown[] = [error.message, error.hint, error.facts]
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) parts.push(String(cause), cause.stack)
  return JSON.stringify(parts)
}

describe('logging in to a guest', () => {
  const open = async (
    change: (kit: VixKit) => void,
    login: { readonly user?: string; readonly password?: string; readonly options?: SimVcenterOptions } = {},
  ) => {
    await using kit = await openVixKit(login.options)
    change(kit)
    const { moref } = (await kit.session.listVms(cancel)).find(({ name }) => name === 'app-01') ?? {}
    if (moref === undefined) throw new Error('no VM')
    const { user = plainAccount.name, password = plainAccount.password } = login
    return await failureOf(kit.session.openGuest({ vm: moref, family: 'linux', user, password }, cancel))
  }
  const nothing = () => undefined

  it('with a wrong password is refused for good, and the password is shown nowhere', async () => {
    const error = await open(nothing, { password: 'hunter2-wrong' })
    expect(error).toMatchObject({ code: 'guest-login-refused', kind: 'refused', retry: 'no' })
    expect(error.message).toContain(plainAccount.name)
    expect(shown(error)).not.toContain('hunter2')
  })

  it('says what Tools lack, as something that may pass', async () => {
    const away = { code: 'guest-unreachable', retry: 'later' }
    for (const state of ['notRunning', 'notInstalled'] as const) {
      const error = await open((kit) => {
        machineOf(kit).tools.state = state
      })
      expect(error).toMatchObject({ ...away, hint: expect.stringContaining('VMware Tools') })
      expect(error.message).toContain('not ready for guest operations')
    }
    const disabled = await open((kit) => {
      machineOf(kit).tools.operationsDisabled = true
    })
    expect(disabled).toMatchObject({ ...away, hint: expect.stringContaining('tools.conf') })
    const off = await open((kit) => machineOf(kit).powerOff())
    expect(off).toMatchObject({ ...away, message: expect.stringContaining('not powered on') })
    for (const fault of ['InvalidState', 'OperationNotSupportedByGuest']) {
      const mishap = { kind: 'fault', fault, message: 'no' } as const
      const error = await open((kit) => kit.sim.arm('ValidateCredentialsInGuest', mishap))
      expect(error).toMatchObject({ ...away, facts: { fault } })
    }
  })

  it('that the guest forbids is a refused login', async () => {
    const mishap = { kind: 'fault', fault: 'GuestPermissionDenied', message: 'no' } as const
    const error = await open((kit) => kit.sim.arm('ValidateCredentialsInGuest', mishap))
    expect(error).toMatchObject({ code: 'guest-login-refused', kind: 'refused' })
  })

  it('without the right in vCenter names the privilege', async () => {
    for (const right of ['Modify', 'Execute']) {
      const privilege = `VirtualMachine.GuestOperations.${right}`
      await using kit = await openVixKit({ deniedPrivileges: [privilege] })
      const error = await failureOf(kit.channel.run(sh('true'), cancel))
      expect(error).toMatchObject({ code: 'vcenter-permission', kind: 'refused', facts: { privilegeId: privilege } })
      expect(error.message).toContain(privilege)
    }
    const query = 'VirtualMachine.GuestOperations.Query'
    await expect(openVixKit({ deniedPrivileges: [query] })).rejects.toMatchObject({
      code: 'vcenter-permission',
      message: expect.stringContaining(query),
    })
  })
})

describe('a program in a guest', () => {
  it('costs an upload, a start and looks for one file', async () => {
    await using kit = await openVixKit()
    await kit.channel.run(sh('true'), cancel)
    const before = kit.calls()
    await kit.channel.run(sh('true'), cancel)
    const spent = Object.entries(kit.calls()).map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
    const { InitiateFileTransferFromGuest: looks = 0, ...others } = Object.fromEntries(spent.filter(([, n]) => n > 0))
    expect(others).toEqual({ InitiateFileTransferToGuest: 1, StartProgramInGuest: 1, '/guestFile': 2 })
    expect(looks).toBeLessThan(8)
  })

  it('is refused when it must be elevated and the account is not, with the sentence that whoAmI() gives', async () => {
    await using kit = await openVixKit()
    const { whyNot, user } = await kit.channel.whoAmI(cancel)
    expect(whyNot).toContain('must be root itself')
    const error = await failureOf(kit.channel.run({ ...sh('true'), elevated: true }, cancel))
    expect(error).toMatchObject({ code: 'guest-elevation-refused', kind: 'refused' })
    expect(error.message).toContain('must be root itself')
    expect(user).not.toBe('')
  })

  it.concurrent('is known to have ended also when Tools have forgotten it, and a lost result is an error', async () => {
    await using kit = await openVixKit({ exitKeepMs: 0, clock: fastClock(20) })
    expect((await kit.channel.run(sh('sleep 1.5; exit 5'), cancel)).exitCode).toBe(5)
    const runs = await runsIn(kit)
    const [name = ''] = runs.names()
    const running = failureOf(kit.channel.run(sh('echo $$ >"$0"; sleep 300', join(runs.temporary, 'pid')), cancel))
    await until(() => existsSync(join(runs.temporary, 'pid')))
    const work = readdirSync(join(runs.temporary, name)).find((entry) => /^[0-9]+$/.test(entry)) ?? ''
    process.kill(Number(readFileSync(join(runs.temporary, name, work, 'wrapper'), 'utf8')), 'SIGKILL')
    expect(await running).toMatchObject({ code: 'guest-result-lost', retry: 'later' })
    expect(isAlive(Number(readFileSync(join(runs.temporary, 'pid'), 'utf8')))).toBe(false)
  })

  it.concurrent('goes on while the session of vCenter ends, several times', async () => {
    await using kit = await openVixKit()
    const expire = { kind: 'expire-session' } as const
    for (const call of ['CreateTemporaryDirectoryInGuest', 'InitiateFileTransferToGuest', 'StartProgramInGuest'])
      kit.sim.arm(call, expire)
    for (const skip of [0, 2, 4]) kit.sim.arm('InitiateFileTransferFromGuest', expire, { skip })
    const result = await kit.channel.run(sh('echo x >>"$TMPDIR/count"; sleep 2; cat "$TMPDIR/count"; exit 4'), cancel)
    expect(result).toMatchObject({ exitCode: 4, stdout: 'x\n' })
    expect(kit.calls()['Login']).toBeGreaterThanOrEqual(5)
  })

  it.concurrent('is given up soon when Tools go away, and ends by its own limit', async () => {
    await using kit = await openVixKit({ clock: fastClock(4) })
    const pids = join((await runsIn(kit)).temporary, 'pid')
    const running = failureOf(kit.channel.run({ ...sh('echo $$ >"$0"; sleep 300', pids), timeoutMs: 6_000 }, cancel))
    await until(() => existsSync(pids))
    machineOf(kit).tools.state = 'notRunning'
    const goneMs = performance.now()
    const error = await running
    expect(error).toMatchObject({ code: 'guest-unreachable', retry: 'later' })
    expect(performance.now() - goneMs).toBeLessThan(20_000)
    await until(() => !isAlive(Number(readFileSync(pids, 'utf8'))))
  })

  it.concurrent('outlasts Tools that are away for a moment', async () => {
    await using kit = await openVixKit()
    const mishap = { kind: 'fault', fault: 'GuestOperationsUnavailable', message: 'restarting' } as const
    kit.sim.arm('InitiateFileTransferFromGuest', mishap, { skip: 1, times: 2 })
    expect((await kit.channel.run(sh('sleep 1; exit 6'), cancel)).exitCode).toBe(6)
  })

  it('of whose start nothing is known never runs on', async () => {
    await using kit = await openVixKit()
    const witness = join((await runsIn(kit)).temporary, 'witness')
    kit.sim.arm('StartProgramInGuest', { kind: 'drop-connection' })
    const error = await failureOf(kit.channel.run(sh('echo x >>"$0"', witness), cancel))
    expect(error).toMatchObject({ code: 'vcenter-connection-lost', retry: 'later' })
    expect(kit.calls()['StartProgramInGuest']).toBe(2)
    await delay(300)
    expect(existsSync(witness)).toBe(false)
  })

  it('finds its directory anew when the guest has lost it', async () => {
    await using kit = await openVixKit()
    await kit.channel.run(sh('true'), cancel)
    const runs = await runsIn(kit)
    for (const name of runs.names()) rmSync(join(runs.temporary, name), { recursive: true })
    expect((await kit.channel.run(sh('exit 8'), cancel)).exitCode).toBe(8)
  })

  it('leaves nothing in the guest when the channel is closed', async () => {
    await using kit = await openVixKit()
    const runs = await runsIn(kit)
    await kit.channel.run(sh('true'), cancel)
    expect(runs.names()).toHaveLength(1)
    await kit.channel[Symbol.asyncDispose]()
    expect(runs.names()).toEqual([])
  })
})

describe('a file of a guest', () => {
  it('comes again after a lost connection or a busy host, both ways', async () => {
    await using kit = await openVixKit()
    const path = `${await kit.channel.makeDirectory(cancel)}/file`
    const bytes = Uint8Array.from({ length: 5000 }, (_, index) => index)
    for (const mishap of [{ kind: 'drop-connection' }, { kind: 'http-status', status: 503 }] as const) {
      kit.sim.arm('/guestFile', mishap)
      await kit.channel.put({ path, bytes, executable: false }, cancel)
      kit.sim.arm('/guestFile', mishap)
      expect(await kit.channel.get({ path, bytesMax: 5000 }, cancel)).toEqual(bytes)
    }
  })

  it('that comes short is damaged, not a shorter file', async () => {
    await using kit = await openVixKit()
    const path = `${await kit.channel.makeDirectory(cancel)}/file`
    await kit.channel.put({ path, bytes: new Uint8Array(5000), executable: false }, cancel)
    kit.sim.arm('/guestFile', { kind: 'short-body' })
    expect(await failureOf(kit.channel.get({ path, bytesMax: 5000 }, cancel))).toMatchObject({
      code: 'guest-file-damaged',
      kind: 'integrity',
    })
  })

  it('that the host refuses is an error with its status', async () => {
    await using kit = await openVixKit()
    const path = `${await kit.channel.makeDirectory(cancel)}/file`
    for (const status of [302, 400, 401, 404, 405]) {
      kit.sim.arm('/guestFile', { kind: 'http-status', status })
      const error = await failureOf(kit.channel.put({ path, bytes: new Uint8Array(1), executable: false }, cancel))
      expect(error).toMatchObject({ code: 'guest-failed', retry: 'no', facts: { status } })
      expect(shown(error)).not.toContain('token')
    }
  })

  it('that was changed on its way is noticed', async () => {
    await using kit = await openVixKit()
    const path = `${await kit.channel.makeDirectory(cancel)}/file`
    await kit.channel.put({ path, bytes: new Uint8Array(10), executable: false }, cancel)
    // The guest writes the file between its transfer and its digest.
    kit.sim.arm('StartProgramInGuest', { kind: 'delay', delayMs: 300 })
    const reading = failureOf(kit.channel.get({ path, bytesMax: 10 }, cancel))
    await delay(150)
    rmSync(path)
    writeFileSync(path, 'other', { mode: 0o644 })
    expect(await reading).toMatchObject({ code: 'guest-file-damaged', kind: 'integrity' })
  })

  it('is named by an absolute path only', async () => {
    await using kit = await openVixKit()
    const { channel } = kit
    for (const path of ['', 'relative/file', './file', '~/file', 'C:\\file']) {
      const file = { path, bytes: new Uint8Array(), executable: false, bytesMax: 1 }
      for (const act of [
        () => channel.put(file, cancel),
        () => channel.get(file, cancel),
        () => channel.digest(path, cancel),
        () => channel.remove(path, cancel),
      ])
        await expect((async () => act())()).rejects.toMatchObject({ code: 'malformed' })
    }
  })

  it('is never removed with more than is meant', async () => {
    await using kit = await openVixKit()
    for (const path of ['/', '//', '/./', '/tmp/..', '/tmp/../etc', '/..'])
      expect(await failureOf((async () => kit.channel.remove(path, cancel))())).toMatchObject({
        code: 'guest-path-refused',
        kind: 'refused',
      })
    expect(kit.calls()).toEqual({})
  })

  it('that the account may not see is refused, not absent', async () => {
    await using asRoot = await openVixKit({ account: rootAccount })
    const directory = await asRoot.channel.makeDirectory(cancel)
    await asRoot.channel.put({ path: `${directory}/secret`, bytes: new Uint8Array(1), executable: false }, cancel)
    const { moref } = (await asRoot.session.listVms(cancel)).find(({ name }) => name === 'app-01') ?? {}
    if (moref === undefined) throw new Error('no VM')
    const login = { vm: moref, family: 'linux', user: plainAccount.name, password: plainAccount.password } as const
    await using other = await asRoot.session.openGuest(login, cancel)
    if (process.getuid?.() !== 0) return
    const refused = { code: 'guest-path-refused', kind: 'refused' }
    expect(await failureOf(other.digest(`${directory}/secret`, cancel))).toMatchObject(refused)
    expect(await failureOf(other.get({ path: `${directory}/secret`, bytesMax: 9 }, cancel))).toMatchObject(refused)
    expect(await failureOf(other.remove(`${directory}/secret`, cancel))).toMatchObject(refused)
  })
})

describe('a Windows guest', () => {
  it('is logged in to, and has directories; that its programs cannot be run here is said', async () => {
    await using kit = await openVixKit({ vmName: 'win-01' })
    const directory = await kit.channel.makeDirectory(cancel)
    expect(directory).toMatch(/^C:\\/)
    expect(await failureOf(kit.channel.run({ ...plain, program: 'whoami.exe' }, cancel))).toMatchObject({
      code: 'guest-unreachable',
    })
    await kit.channel.remove(directory, cancel)
    await kit.channel.remove(directory, cancel)
  })
})

async function until(condition: () => boolean): Promise<void> {
  for (let round = 0; round < 600; round++) {
    if (condition()) return
    await delay(50)
  }
  throw new Error('it did not come')
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
