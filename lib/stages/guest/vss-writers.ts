// The state of the VSS writers in a Windows guest, collected where they failed a snapshot: the fault itself does not name them.

import { messageOf } from '../../base/errors.ts'
import { type Cancel, withTimeLimit } from '../../base/time-limit.ts'
import type { GuestChannel } from '../../ports/guest.ts'
import type { StageDeps } from '../deps.ts'
import { addEvidence } from '../evidence.ts'
import type { JobHold } from '../hold.ts'
import { findWayIn, type GuestAt, whyNoWayIn } from './way-in.ts'

const NAME = 'vssadmin list writers'
const LIMIT_MS = 60_000

/** Once a job; what cannot be collected is said in its place, and never fails the capture. */
export async function collectWriters(
  asked: GuestAt & { readonly channel: GuestChannel | null },
  hold: JobHold,
  { deps, cancel }: { readonly deps: StageDeps; readonly cancel: Cancel },
): Promise<void> {
  const { policy, evidence } = hold.job()
  if (policy.guest.mode === 'off' || policy.guest.credentials === null) return
  if (evidence.some(({ name }) => name === NAME)) return
  const text = await listWriters(asked, deps, { signal: withTimeLimit(cancel.signal, LIMIT_MS) })
  cancel.signal.throwIfAborted()
  await addEvidence(hold, [{ name: NAME, text }], cancel)
}

async function listWriters(
  asked: GuestAt & { readonly channel: GuestChannel | null },
  deps: StageDeps,
  cancel: Cancel,
): Promise<string> {
  try {
    if (asked.channel !== null) return await ask(asked.channel, cancel)
    const way = await findWayIn(asked, deps, cancel)
    if (way.entered === null) return `Not collected. ${whyNoWayIn(way)}`
    await using channel = way.entered.channel

    return await ask(channel, cancel)
  } catch (error) {
    return `Not collected: ${messageOf(error)}`
  }
}

async function ask(channel: GuestChannel, cancel: Cancel): Promise<string> {
  const { exitCode, stdout, stderr } = await channel.run(
    {
      program: 'C:\\Windows\\System32\\vssadmin.exe',
      args: ['list', 'writers'],
      environment: {},
      workingDirectory: null,
      timeoutMs: LIMIT_MS,
      elevated: true,
    },
    cancel,
  )
  if (exitCode === 0) return stdout
  return `vssadmin ended with exit code ${exitCode ?? 'unknown'}\n${stdout}${stderr}`
}
