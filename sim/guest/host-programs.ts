// The programs of a simulated Linux guest: real ones of this machine, started as VMware Tools start them.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Clock } from '../../lib/base/clock.ts'
import { SimFault } from '../machine/types.ts'
import { uidOf } from './guest-paths.ts'
import { commandLineOf, type HostProcess, killAll, killOne, ownerOf, processesOf } from './host-processes.ts'
import type { GuestAccount, GuestProcess, GuestProgram, GuestPrograms } from './types.ts'

export const GUEST_MARK = 'COLDFRAME_SIMULATED_GUEST'
export const GUESTS_MARK = 'COLDFRAME_SIMULATED_GUESTS'

/** Tools wait this long for SIGTERM to work before they send SIGKILL. */
const TERM_MS = 5000
const POLL_MS = 10
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

type Started = {
  readonly child: ChildProcess
  readonly owner: string
  readonly program: GuestProgram
  readonly startedMs: number
  ended: { readonly atMs: number; readonly exitCode: number } | null
}

export class HostPrograms implements GuestPrograms {
  readonly #root: string
  readonly #guests: string
  readonly #clock: Clock
  readonly #exitKeepMs: number
  readonly #started = new Map<number, Started>()

  /**
   * @param options.root the guest's private directory; `guests` is the one of all guests
   * @param options.exitKeepMs how long an ended program is told of; five minutes with real Tools
   */
  constructor(options: {
    readonly root: string
    readonly guests: string
    readonly clock: Clock
    readonly exitKeepMs: number
  }) {
    this.#root = options.root
    this.#guests = options.guests
    this.#clock = options.clock
    this.#exitKeepMs = options.exitKeepMs
  }

  environmentOf(account: GuestAccount): readonly string[] {
    return [
      `PATH=${join(this.#root, 'bin')}:${PATH}`,
      `HOME=${join(this.#root, 'home')}`,
      `TMPDIR=${join(this.#root, 'tmp')}`,
      'LANG=C.UTF-8',
      `USER=${account.name}`,
      `LOGNAME=${account.name}`,
      `COLDFRAME_GUEST_DIRECTORY=${join(this.#root, 'memory')}`,
    ]
  }

  /**
   * The path is quoted and the arguments follow as they are, for a shell to read (GuestProgramSpec: "the program will be executed
   * by a guest shell"). The pid is the program's own where the shell replaces itself by it, as bash does.
   */
  start(account: GuestAccount, program: GuestProgram): number {
    const { programPath } = program
    const bare = programPath.replaceAll(/^"|"$/g, '')
    if (bare === '' || (bare.startsWith('/') && !existsSync(bare))) {
      throw new SimFault('FileNotFound', `There is no program "${bare}" in the guest`, { file: bare })
    }
    const cwd = directoryOf(program.workingDirectory ?? join(this.#root, 'home'))
    const shell = existsSync('/bin/bash') ? '/bin/bash' : '/bin/sh'
    const line = `${programPath.startsWith('"') ? programPath : `"${programPath}"`} ${program.arguments}`
    const uid = uidOf(account)
    const child = spawn(shell, ['-c', line], {
      cwd,
      env: this.#environment(account, program),
      // A session of its own: no terminal's signals reach it, and its members can be told.
      detached: true,
      stdio: 'ignore',
      ...(uid === null ? {} : { uid, gid: uid }),
    })
    child.on('error', () => undefined)
    const { pid } = child
    if (pid === undefined) throw new SimFault('FileFault', `"${bare}" could not be started`, { file: bare })
    const started: Started = { child, owner: account.name, program, startedMs: this.#clock.nowMs(), ended: null }
    this.#started.set(pid, started)
    child.once('exit', (code) => {
      // Tools know no exit code of a program that a signal ended.
      started.ended = { atMs: this.#clock.nowMs(), exitCode: code ?? -1 }
    })
    child.unref()
    return pid
  }

  list(pids: readonly number[] | null): readonly GuestProcess[] {
    this.#forget()
    const isWanted = (pid: number) => pids === null || pids.includes(pid)
    const wanted = [...this.#started].filter(([pid]) => isWanted(pid))
    const started = wanted.map(([pid, one]) => ({
      name: basename(one.program.programPath.replaceAll('"', '')),
      pid,
      owner: one.owner,
      commandLine: `"${one.program.programPath}" ${one.program.arguments}`.trim(),
      startedMs: one.startedMs,
      endedMs: one.ended?.atMs ?? null,
      exitCode: one.ended?.exitCode ?? null,
    }))
    // Asked for by those who wait for the end of what they started, again and again: nothing else is looked for then.
    if (pids?.every((pid) => this.#started.has(pid))) return started
    const others = this.#alive().filter(({ pid, zombie }) => !zombie && !this.#started.has(pid) && isWanted(pid))
    return [...started, ...others.map((one) => this.#described(one))]
  }

  async terminate(account: GuestAccount, pid: number): Promise<void> {
    const find = () => this.#alive().find((one) => one.pid === pid && !one.zombie)
    const found = find()
    if (found === undefined) throw new SimFault('GuestProcessNotFound', `There is no process ${pid}`, { pid })
    const uid = uidOf(account)
    const owner = ownerOf(found)
    const isOwn = owner === null ? this.#started.get(pid)?.owner === account.name : owner === uid
    if (uid !== null && !isOwn) {
      throw new SimFault('GuestPermissionDenied', `The process ${pid} belongs to another account`)
    }
    killOne(pid, 'SIGTERM')
    const never = new AbortController().signal
    const started = this.#started.get(pid)
    const isKnown = () => find() !== undefined || (started !== undefined && started.ended === null)
    for (let waitedMs = 0; isKnown(); waitedMs += POLL_MS) {
      if (waitedMs >= TERM_MS) killOne(pid, 'SIGKILL')
      await this.#clock.sleep(POLL_MS, { signal: never })
    }
  }

  /** Ends them all, with every descendant. */
  killAll(): void {
    killAll(() => this.#alive())
    this.#started.clear()
  }

  #environment(account: GuestAccount, program: GuestProgram): Record<string, string> {
    const marks = [`${GUEST_MARK}=${this.#root}`, `${GUESTS_MARK}=${this.#guests}`]
    const pairs = [...this.environmentOf(account), ...program.environment, ...marks].map((text) => {
      const equals = text.indexOf('=')
      if (equals < 1) {
        throw new SimFault('InvalidArgument', `"${text}" is not "NAME=VALUE"`, { invalidProperty: 'spec.envVariables' })
      }
      return [text.slice(0, equals), text.slice(equals + 1)] as const
    })
    return Object.fromEntries(pairs)
  }

  #alive(): readonly HostProcess[] {
    const running = [...this.#started].filter(([, { child }]) => child.exitCode === null && child.signalCode === null)
    return processesOf({ mark: `${GUEST_MARK}=${this.#root}`, pids: new Set(running.map(([pid]) => pid)) })
  }

  #described(one: HostProcess): GuestProcess {
    const parent = [...this.#started.values()].find(({ child }) => child.pid === one.sessionId)
    return {
      name: one.name,
      pid: one.pid,
      owner: parent?.owner ?? String(ownerOf(one) ?? 'unknown'),
      commandLine: commandLineOf(one),
      startedMs: parent?.startedMs ?? this.#clock.nowMs(),
      endedMs: null,
      exitCode: null,
    }
  }

  #forget(): void {
    const oldestMs = this.#clock.nowMs() - this.#exitKeepMs
    for (const [pid, { ended }] of this.#started) {
      if (ended !== null && ended.atMs < oldestMs) this.#started.delete(pid)
    }
  }
}

function directoryOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) throw new SimFault('FileNotFound', `There is no directory "${path}"`, { file: path })
  if (!found.isDirectory()) throw new SimFault('NotADirectory', `"${path}" is no directory`, { file: path })
  return path
}
