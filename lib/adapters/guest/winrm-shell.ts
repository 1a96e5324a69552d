// A remote shell in a Windows guest that runs our scripts (winrm-scripts.ts) one after the other. It is made when it is
// needed, again when the guest has lost it, and deleted when a script had to be stopped, so that its processes end with it.

import { systemClock } from '../../base/clock.ts'
import { BackupError } from '../../base/errors.ts'
import { type Cancel, isAbort, withTimeLimit } from '../../base/time-limit.ts'
import { POWERSHELL, SCRIPTS, type ScriptName } from './winrm-scripts.ts'
import type { WsmanClient } from './wsman-client.ts'
import {
  type CommandPlace,
  createShell,
  deleteShell,
  type Operation,
  receiveOutput,
  STDIN_BYTES_MAX,
  sendInput,
  startCommand,
  terminateCommand,
} from './wsman-messages.ts'
import {
  commandIdIn,
  faultError,
  isShellLost,
  isTimedOut,
  outputIn,
  readGuest,
  shellIdIn,
  type WsmanFault,
} from './wsman-replies.ts'
import type { XmlElement } from './wsman-xml.ts'

export type Script = {
  readonly name: ScriptName
  readonly data: Readonly<Record<string, unknown>>
  /** A file for the script, handed over in pieces; null for none. */
  readonly payload: Uint8Array | null
  /** Beyond it the script is stopped from outside. */
  readonly limitMs: number
  readonly outputBytesMax: number
}

export type ScriptAnswer =
  | { readonly kind: 'answered'; readonly lines: readonly string[]; readonly answer: Readonly<Record<string, unknown>> }
  /** Stopped from outside: what it has done is not known. */
  | { readonly kind: 'late' }

export interface WinrmShell extends AsyncDisposable {
  readonly place: string
  /**
   * @throws BackupError `guest-failed`, `guest-unreachable`; when the shell was lost while the script ran, `facts.shellLost` is true and how far
   * it came is not known
   */
  execute(script: Script, cancel: Cancel): Promise<ScriptAnswer>
  /** Ends every process that is left in the shell; the next script gets a new one. */
  reset(): Promise<void>
}

/** In base64, with its line end, one Send. */
const PIECE_BYTES_MAX = (STDIN_BYTES_MAX / 4) * 3 - 3
/** Stopping and tidying up after the caller has gone. */
const CLEANUP_MS = 15_000
const STDERR_BYTES_MAX = 8192
/** A guest that has nothing to say waits for the operation timeout; one that says so at once is not asked more often than this. */
const ASK_AGAIN_MS = 100
const ANSWER_MARK = 'coldframe:'

export function openShell(client: WsmanClient): WinrmShell {
  const { place } = client
  let shellId: string | null = null

  const call = async (operation: Operation, what: string, cancel: Cancel): Promise<XmlElement> => {
    const reply = await client.post(operation, cancel)
    if (reply.kind === 'reply') return reply.body
    if (isShellLost(reply)) shellId = null
    throw isShellLost(reply) ? shellLost(reply, { what, place }) : faultError(reply, { what, place })
  }
  const openedShell = async (cancel: Cancel): Promise<string> => {
    if (shellId !== null) return shellId
    const body = await call(createShell(), 'make a shell', cancel)
    shellId = readGuest(place, () => shellIdIn(body))
    return shellId
  }
  /** A shell that idled too long is found gone here, before anything has run. */
  const start = async (cancel: Cancel): Promise<CommandPlace> => {
    for (let attempt = 1; ; attempt++) {
      const own = await openedShell(cancel)
      try {
        const body = await call(startCommand(own, POWERSHELL), 'start a command', cancel)
        return { shellId: own, commandId: readGuest(place, () => commandIdIn(body)) }
      } catch (error) {
        if (attempt > 1 || !isLoss(error)) throw error
      }
    }
  }
  const reset = async (signal = AbortSignal.timeout(CLEANUP_MS)): Promise<void> => {
    const own = shellId
    shellId = null
    if (own !== null) await quietly(() => client.post(deleteShell(own), { signal }))
  }

  return {
    place,
    execute: async (script, cancel) => {
      cancel.signal.throwIfAborted()
      const limited = { signal: withTimeLimit(cancel.signal, script.limitMs) }
      let command: CommandPlace | null = null
      try {
        command = await start(limited)
        const output = await exchange(script, { client, command, cancel: limited })
        // Tells the service to forget the command; it has ended.
        const ended = terminateCommand(command)
        await quietly(() => call(ended, 'end a command', limited))
        return answerIn(output, { script, place })
      } catch (error) {
        // Whatever is under way may hold the connection for long.
        client.hangUp()
        // A refused login is not tried again and again: accounts get locked for that.
        if (isLoss(error) || isRefusal(error)) shellId = null
        const signal = AbortSignal.timeout(CLEANUP_MS)
        const stopped = command === null || shellId === null ? null : terminateCommand(command)
        if (stopped !== null) await quietly(() => client.post(stopped, { signal }))
        await reset(signal)
        cancel.signal.throwIfAborted()
        if (limited.signal.aborted) return { kind: 'late' }
        throw error
      }
    },
    reset: () => reset(),
    [Symbol.asyncDispose]: () => reset(),
  }
}

type Exchange = {
  readonly client: WsmanClient
  readonly command: CommandPlace
  readonly cancel: Cancel
}

type Output = { readonly stdout: string; readonly stderr: string; readonly exitCode: number | null }

async function exchange(script: Script, { client, command, cancel }: Exchange): Promise<Output> {
  for (const input of inputsOf(script)) {
    const reply = await client.post(sendInput(command, input), cancel)
    // A script that ended early takes no more input; its output says why.
    if (reply.kind === 'fault' && !isShellLost(reply)) break
    if (reply.kind === 'fault') throw shellLost(reply, { what: 'send input', place: client.place })
  }
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  let [outBytes, errorBytes] = [0, 0]
  for (;;) {
    const askedMs = systemClock.monotonicMs()
    const reply = await client.post(receiveOutput(command), cancel)
    if (reply.kind === 'fault' && isTimedOut(reply)) {
      await pauseSince(askedMs, cancel)
      continue
    }
    if (reply.kind === 'fault') {
      const what = { what: 'receive output', place: client.place }
      throw isShellLost(reply) ? shellLost(reply, what) : faultError(reply, what)
    }
    const received = readGuest(client.place, () => outputIn(reply.body, command.commandId))
    const gotBytes = received.stdout.byteLength + received.stderr.byteLength
    outBytes += received.stdout.byteLength
    if (outBytes > script.outputBytesMax) throw tooLoud(script, client.place)
    stdout.push(received.stdout)
    if (errorBytes < STDERR_BYTES_MAX) stderr.push(received.stderr)
    errorBytes += received.stderr.byteLength
    if (received.done)
      return {
        stdout: Buffer.concat(stdout).toString('utf8'),
        stderr: Buffer.concat(stderr).subarray(0, STDERR_BYTES_MAX).toString('utf8'),
        exitCode: received.exitCode,
      }
    if (gotBytes === 0) await pauseSince(askedMs, cancel)
  }
}

async function pauseSince(askedMs: number, cancel: Cancel): Promise<void> {
  const leftMs = askedMs + ASK_AGAIN_MS - systemClock.monotonicMs()
  if (leftMs > 0) await systemClock.sleep(leftMs, cancel)
}

function tooLoud({ name, outputBytesMax }: Script, place: string): BackupError {
  const message = `Cannot take the output of "${name}" from the guest at "${place}": it is longer than ${outputBytesMax} bytes`
  return new BackupError(message, {
    code: 'guest-failed',
    retry: 'later',
    facts: { place, script: name, outputBytesMax },
  })
}

/** The lines of stdin, in pieces that fit an envelope; the last one ends it. */
function* inputsOf({ name, data, payload }: Script): Generator<{ readonly bytes: Uint8Array; readonly end: boolean }> {
  const head = Buffer.from(`${base64Of(SCRIPTS[name])}\n${base64Of(JSON.stringify(data))}\n`, 'latin1')
  const payloadBytes = payload?.byteLength ?? 0
  for (let offset = 0; offset < head.byteLength; offset += STDIN_BYTES_MAX) {
    const end = payloadBytes === 0 && offset + STDIN_BYTES_MAX >= head.byteLength
    yield { bytes: head.subarray(offset, offset + STDIN_BYTES_MAX), end }
  }
  for (let offset = 0; offset < payloadBytes; offset += PIECE_BYTES_MAX) {
    const piece = payload?.subarray(offset, offset + PIECE_BYTES_MAX) ?? new Uint8Array()
    const bytes = Buffer.from(`${Buffer.from(piece).toString('base64')}\n`, 'latin1')
    yield { bytes, end: offset + PIECE_BYTES_MAX >= payloadBytes }
  }
}

function base64Of(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

function answerIn(
  { stdout, stderr, exitCode }: Output,
  { script, place }: { readonly script: Script; readonly place: string },
): ScriptAnswer {
  const lines = stdout.split(/\r?\n/).filter((line) => line !== '')
  const last = lines.pop() ?? ''
  const answer = last.startsWith(ANSWER_MARK) ? parseAnswer(last.slice(ANSWER_MARK.length)) : null
  if (answer !== null) return { kind: 'answered', lines, answer }
  const said = `${stderr} ${last}`.replaceAll(/\s+/g, ' ').trim().slice(0, 400)
  throw new BackupError(
    `Cannot run PowerShell in the guest at "${place}" for "${script.name}": it ended with ${exitCode ?? 'no exit code'} and no answer of ours${said === '' ? '' : `; it said "${said}"`}`,
    {
      code: 'guest-failed',
      hint: 'The account needs Windows PowerShell 3 or later with .NET 4.5, in full language mode',
      facts: { place, script: script.name, exitCode },
    },
  )
}

function parseAnswer(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const answer: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'))
    return typeof answer === 'object' && answer !== null ? Object.fromEntries(Object.entries(answer)) : null
  } catch {
    // Cut off or not ours; the caller says what was there instead.
    return null
  }
}

function shellLost(
  { reason }: WsmanFault,
  { what, place }: { readonly what: string; readonly place: string },
): BackupError {
  return new BackupError(`Cannot ${what} through WinRM at "${place}": the guest has closed the shell: ${reason}`, {
    code: 'guest-unreachable',
    retry: 'later',
    hint: 'The guest was restarted, its WinRM was, or a limit of its shells was reached; what ran may have been cut off',
    facts: { place, shellLost: true },
  })
}

function isLoss(error: unknown): boolean {
  return error instanceof BackupError && error.facts['shellLost'] === true
}

function isRefusal(error: unknown): boolean {
  return error instanceof BackupError && error.kind === 'refused'
}

/** What cannot be tidied up any more ends by itself, when its shell has idled. */
async function quietly(action: () => Promise<unknown>): Promise<void> {
  try {
    await action()
  } catch (error) {
    if (!(error instanceof BackupError) && !isAbort(error)) throw error
  }
}
