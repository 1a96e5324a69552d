// The directory that prepare lays into the guest: the wrapper with the scripts in it. Made, used and removed.

import { assert, hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { ScriptRun } from '../../model/guest.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import {
  callWrapper,
  completeRun,
  pathIn,
  scriptCallMs,
  shortCallMs,
  type WrapperCall,
  wrapperAt,
  wrapperSuffix,
} from './call-wrapper.ts'
import { posixWrapper } from './posix-wrapper.ts'
import { windowsWrapper } from './windows-wrapper.ts'
import type { InstallRequest, LoadedScript, WrapperPlace } from './wrapper.ts'
import type { WrapperReply } from './wrapper-reply.ts'

/** Copies, digests and unpacks up to 64 MiB a script. */
const installMs = 10 * 60_000

/**
 * Makes the workspace: a fresh directory in memory-backed storage that only the account, or root, can enter.
 * @throws BackupError `guest-no-memory-place`, `guest-script-damaged`, `guest-script-unfit`, `guest-workspace-failed`,
 * `guest-wrapper-reply`, those of GuestChannel
 */
export async function installWorkspace(
  channel: GuestChannel,
  request: InstallRequest,
  cancel: Cancel,
): Promise<{ readonly path: string }> {
  const words = [...request.scripts.flatMap(scriptWords), ...environmentWords(request.environment)]
  return await throughStaging(channel, { token: request.token, cancel }, async (staging) => {
    for (const { stage, bytes } of request.scripts)
      await channel.put({ path: staging.pathOf(`bundle-${stage}`), bytes, executable: false }, cancel)
    const install = ['install', request.token, await staging.namedDirectory(), ...words]
    const what = 'install the wrapper'
    const reply = await staging.call({ words: install, elevated: request.elevated, what, timeoutMs: installMs })
    const path = reply.text('path')
    if (path === null || !path.endsWith(`coldframe-${request.token}`)) throw reply.odd('it names no path')
    return { path }
  })
}

/**
 * Thaws whatever is frozen, ends what still runs of the workspace, removes it and looks that it is gone; what is absent is
 * no error.
 * @throws BackupError `guest-workspace-failed`, `guest-wrapper-reply`, those of GuestChannel
 */
export async function removeWorkspace(channel: GuestChannel, place: WrapperPlace, cancel: Cancel): Promise<void> {
  const call = { ...wrapperAt(place), words: ['remove'], what: `remove "${place.path}"`, timeoutMs: scriptCallMs }
  try {
    const reply = await callWrapper(channel, call, cancel)
    if (!reply.has('removed')) throw reply.odd('it does not say that it is removed')
  } catch (error) {
    if (!hasCode(error, 'guest-workspace-missing')) throw error
  }
}

/**
 * Removes whatever an installation with this token may have left, for a job that ended before it knew the path.
 * @throws BackupError as removeWorkspace()
 */
export async function removeByToken(
  channel: GuestChannel,
  { token, elevated }: { readonly token: string; readonly elevated: boolean },
  cancel: Cancel,
): Promise<void> {
  await throughStaging(channel, { token, cancel }, async (staging) => {
    const words = ['remove-token', token, await staging.namedDirectory()]
    const what = 'remove what an earlier attempt left'
    const reply = await staging.call({ words, elevated, what, timeoutMs: scriptCallMs })
    if (!reply.has('removed')) throw reply.odd('it does not say what it removed')
  })
}

/**
 * Runs the post-commit script, outside of any freeze; each call runs it once more.
 * @throws BackupError `guest-script-missing`, `guest-workspace-missing`, `guest-wrapper-reply`, those of GuestChannel
 */
export async function runScript(
  channel: GuestChannel,
  { place, stage }: { readonly place: WrapperPlace; readonly stage: 'post-commit' },
  cancel: Cancel,
): Promise<ScriptRun> {
  const call = {
    ...wrapperAt(place),
    words: ['run', stage],
    what: `run the script of ${stage}`,
    timeoutMs: scriptCallMs,
  }
  const reply = await callWrapper(channel, call, cancel)
  const run = await completeRun(channel, { reply, place }, cancel)
  if (run?.stage !== stage) throw reply.odd('it tells of another script')
  return run
}

type Staging = {
  pathOf(name: string): string
  call(call: Pick<WrapperCall, 'words' | 'elevated' | 'what' | 'timeoutMs'>): Promise<WrapperReply>
  /** The operator's own choice of a place, from the environment of the account: sudo would not hand it on. */
  namedDirectory(): Promise<string>
}

/**
 * Brings the wrapper through a directory of the guest's temporary storage, which is removed in the end. Its name there holds
 * the token, so that removeByToken() finds what a process that died left.
 */
async function throughStaging<T>(
  channel: GuestChannel,
  { token, cancel }: { readonly token: string; readonly cancel: Cancel },
  act: (staging: Staging) => Promise<T>,
): Promise<T> {
  assert(/^[0-9a-f]{32}$/.test(token), 'a token is 32 hex digits')
  const { family } = channel
  const directory = await channel.makeDirectory(cancel)
  try {
    const pathOf = (name: string): string => pathIn(family, { directory, name })
    const program = pathOf(`coldframe-${token}${wrapperSuffix(family)}`)
    const bytes = new TextEncoder().encode(family === 'windows' ? windowsWrapper : posixWrapper)
    await channel.put({ path: program, bytes, executable: false }, cancel)
    const call: Staging['call'] = (request) => callWrapper(channel, { family, program, ...request }, cancel)
    const namedDirectory = async (): Promise<string> => {
      const words = ['ask']
      const what = 'read the environment of the account'
      return (await call({ words, elevated: false, what, timeoutMs: shortCallMs })).text('directory') ?? ''
    }
    const result = await act({ pathOf, call, namedDirectory })
    await channel.remove(directory, cancel)
    return result
  } catch (error) {
    // What stays is found by the token; why it failed matters more than why it could not be cleaned up.
    await channel.remove(directory, cancel).catch(() => {})
    throw error
  }
}

/** "script" and seven words, as the wrapper's install command takes them. */
function scriptWords({ stage, fileName, sha256, entry, timeoutMs, successCodes }: LoadedScript): readonly string[] {
  assert(/^[^/\\:*?"<>|\p{Cc}]+$/u.test(fileName) && !/^\.\.?$/.test(fileName), 'a script has the name of a file')
  assert(/^[0-9a-f]{64}$/.test(sha256), 'a digest is 64 hex digits')
  const kind = /\.(tgz|tar\.gz)$/i.test(fileName) ? 'tgz' : /\.zip$/i.test(fileName) ? 'zip' : 'plain'
  return ['script', stage, kind, fileName, sha256, entry, String(Math.ceil(timeoutMs)), successCodes.join(' ')]
}

function environmentWords(environment: InstallRequest['environment']): readonly string[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    assert(/^[A-Za-z_][A-Za-z0-9_]*$/.test(name), `"${name}" is the name of a variable`)
    return ['env', name, value]
  })
}
