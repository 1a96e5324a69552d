// A way into a guest: run a program, put and get files, say who we are. No code.

import type { Cancel } from '../base/time-limit.ts'

export type ProgramRequest = {
  readonly program: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly workingDirectory: string | null
  readonly timeoutMs: number
}

/** Streams are cut at 64 KiB each. */
export type ProgramResult = {
  readonly exitCode: number | null
  readonly timedOut: boolean
  readonly stdout: string
  readonly stderr: string
}

export interface GuestChannel extends AsyncDisposable {
  readonly kind: 'ssh' | 'winrm' | 'vix'
  whoAmI(cancel: Cancel): Promise<{ readonly user: string; readonly elevated: boolean }>
  run(request: ProgramRequest, cancel: Cancel): Promise<ProgramResult>
  /** A fresh directory that only this account can enter. */
  makeDirectory(cancel: Cancel): Promise<string>
  put(
    file: { readonly path: string; readonly bytes: Uint8Array; readonly executable: boolean },
    cancel: Cancel,
  ): Promise<void>
  get(path: string, cancel: Cancel): Promise<Uint8Array>
  remove(path: string, cancel: Cancel): Promise<void>
}
