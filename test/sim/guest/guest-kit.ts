// One machine with the inside of its guest, in a directory of its own, for tests of guests.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../../lib/base/clock.ts'
import { diskOf, type MachineDescription, machineOf, plainEstate } from '../../../sim/estate/description.ts'
import { Estate } from '../../../sim/estate/estate.ts'
import type { GuestAccount, GuestProcess, LiveGuestSystem } from '../../../sim/guest/types.ts'
import type { Machine } from '../../../sim/machine/machine.ts'

const MiB = 1024 * 1024

export const plain: GuestAccount = { name: 'backup', password: 'right', elevated: false }
export const root: GuestAccount = { name: 'root', password: 'toor', elevated: true }

export type GuestKit = Disposable & {
  readonly estate: Estate
  readonly machine: Machine
  readonly system: LiveGuestSystem
  /** The guest's private directory. */
  readonly home: string
  /** Runs a line of sh and waits for its end. */
  sh(line: string, account?: GuestAccount): Promise<GuestProcess>
}

export function openGuestKit(
  options: {
    readonly machine?: Partial<MachineDescription>
    readonly clock?: Clock
    readonly exitKeepMs?: number
  } = {},
): GuestKit {
  const clock = options.clock ?? systemClock
  const directory = guestsDirectory()
  const description = machineOf({
    name: 'guest-01',
    programs: true,
    accounts: [plain, root],
    disks: [diskOf({ capacityBytes: 2 * MiB })],
    ...options.machine,
  })
  const estate = new Estate(
    { ...plainEstate, seed: 5, machines: [description] },
    { directory: null, clock, guests: { directory, exitKeepMs: options.exitKeepMs ?? 300_000 } },
  )
  const [machine] = estate.named(description.name)
  if (machine === undefined || machine.system === null) throw new Error('no guest')
  const { system } = machine
  return {
    estate,
    machine,
    system,
    home: join(directory, description.name),
    sh: async (line, account = plain) => {
      const pid = start(system, line, account)
      for (;;) {
        const found = system.programs?.list(null).find((one) => one.pid === pid)
        if (found === undefined) throw new Error(`${pid} is not known`)
        if (found.endedMs !== null) return found
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    [Symbol.dispose]: () => estate[Symbol.dispose](),
  }
}

export function start(system: LiveGuestSystem, line: string, account: GuestAccount = plain): number {
  if (system.programs === null) throw new Error('a guest without programs')
  const text = `-c '${line.replaceAll("'", `'\\''`)}'`
  return system.programs.start(account, {
    programPath: '/bin/sh',
    arguments: text,
    workingDirectory: null,
    environment: [],
  })
}

/** An empty directory that the estate removes. */
export function guestsDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'coldframe-guests-'))
}
