// The VMware Tools channel into a guest of the simulator, whose programs are real ones of this machine.

import { statSync } from 'node:fs'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import { type Clock, systemClock } from '../../../lib/base/clock.ts'
import type { GuestChannel } from '../../../lib/ports/guest.ts'
import type { VsphereSession } from '../../../lib/ports/vsphere.ts'
import type { GuestAccount } from '../../../sim/guest/types.ts'
import { openSimVcenter, type SimVcenter, type SimVcenterOptions } from './sim-vcenter.ts'

export const plainAccount: GuestAccount = { name: 'backup', password: 'right <&> "\' word', elevated: false }
export const rootAccount: GuestAccount = { name: 'root', password: 'toor', elevated: true }

export type VixKit = AsyncDisposable & {
  readonly sim: SimVcenter
  readonly session: VsphereSession
  readonly channel: GuestChannel
  /** Calls of vCenter since the channel was opened, by method, and transfers as "/guestFile". */
  calls(): Readonly<Record<string, number>>
}

export async function openVixKit(
  options: SimVcenterOptions & {
    readonly account?: GuestAccount
    readonly vmName?: string
    readonly clock?: Clock
  } = {},
): Promise<VixKit> {
  const { account = plainAccount, vmName = 'app-01', clock = systemClock, ...rest } = options
  const cancel = { signal: AbortSignal.timeout(120_000) }
  const stack = new AsyncDisposableStack()
  try {
    const sim = stack.use(await openSimVcenter({ accounts: [plainAccount, rootAccount], ...rest }))
    const session = stack.use(await openVsphere({ ...sim.settings, clock }).open(cancel))
    const vm = (await session.listVms(cancel)).find(({ name }) => name === vmName)
    if (vm === undefined) throw new Error(`no VM "${vmName}"`)
    const family = vmName.startsWith('win') ? 'windows' : 'linux'
    const login = { vm: vm.moref, family, user: account.name, password: account.password } as const
    const channel = stack.use(await session.openGuest(login, cancel))
    const before = { ...sim.scenario.calls() }
    const calls = () =>
      Object.fromEntries(
        Object.entries(sim.scenario.calls())
          .map(([name, count]) => [name, count - (before[name] ?? 0)] as const)
          .filter(([, count]) => count > 0),
      )
    const owned = stack.move()
    return { sim, session, channel, calls, [Symbol.asyncDispose]: () => owned.disposeAsync() }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

/** Time that goes this much faster for who waits and measures. */
export function fastClock(factor: number): Clock {
  return {
    nowMs: () => systemClock.nowMs(),
    monotonicMs: () => systemClock.monotonicMs() * factor,
    sleep: (ms, options) => systemClock.sleep(ms / factor, options),
  }
}

/** A Linux guest's paths are paths of this machine. */
export async function modeOf(path: string): Promise<string> {
  return (statSync(path).mode & 0o777).toString(8)
}
