// What the control port does to the guest of a machine, and how it tells of it.

import { isoTime } from '../../lib/base/clock.ts'
import type { Machine } from '../machine/machine.ts'
import { TOOLS_STATES } from '../machine/tools.ts'
import { SimFault } from '../machine/types.ts'
import { readAccount, readBridge, readTexts, readVss, VSS_KEYS } from './guest-json.ts'
import type { JsonObject } from './json.ts'

export const GUEST_ACTIONS = ['tools', 'addresses', 'guest-operations', 'accounts', 'vss', 'quiesce'] as const

type GuestAction = (typeof GUEST_ACTIONS)[number]

export const GUEST_ACTION_KEYS: Readonly<Record<GuestAction, readonly string[]>> = {
  tools: ['installed', 'state'],
  addresses: ['cards', 'bridges'],
  'guest-operations': ['disabled'],
  accounts: ['accounts'],
  vss: VSS_KEYS,
  quiesce: ['quiesceMs', 'whenHeld'],
}

/**
 * tools {state: "running" | "old" | "notRunning" | "notInstalled"} or {installed}, addresses {cards: [[address, …], …], bridges?:
 * [{macAddress?, addresses}]}, guest-operations {disabled}, accounts {accounts: [{name, password, elevated?}]} (all there are from
 * now on), vss {health?, failingWriter?, writers?, manifestPath?} (see Vss), quiesce {quiesceMs?, whenHeld?: "works" | "fault"}.
 */
export function readGuestWish(object: JsonObject, action: GuestAction): (machine: Machine) => void {
  switch (action) {
    case 'tools': {
      const installed = object.flag('installed', { fallback: true })
      const state = object.choice('state', { of: TOOLS_STATES, fallback: installed ? 'running' : 'notInstalled' })
      return ({ tools }) => {
        tools.state = state
      }
    }
    case 'addresses': {
      const cards = object.list('cards', { item: readTexts })
      const bridges = object.list('bridges', { item: readBridge, fallback: [] })
      return ({ tools }) => {
        tools.addresses = { cards, bridges }
      }
    }
    case 'guest-operations': {
      const disabled = object.flag('disabled', { fallback: true })
      return ({ tools }) => {
        tools.operationsDisabled = disabled
      }
    }
    case 'accounts': {
      const accounts = object.list('accounts', { item: readAccount })
      return ({ system }) => {
        if (system === null) throw new SimFault('NotSupported', 'The inside of this guest is not simulated')
        system.accounts = accounts
      }
    }
    case 'vss': {
      const change = readVss(object)
      return ({ quiescing }) => {
        quiescing.vss = change(quiescing.vss)
      }
    }
    case 'quiesce':
      return readQuiesce(object)
  }
}

function readQuiesce(object: JsonObject): (machine: Machine) => void {
  const quiesceMs = object.has('quiesceMs') ? object.wholeNumber('quiesceMs', { low: 0, high: 3_600_000 }) : null
  const whenHeld = object.has('whenHeld') ? object.choice('whenHeld', { of: ['works', 'fault'] }) : null
  return ({ quiescing }) => {
    quiescing.quiesceMs = quiesceMs ?? quiescing.quiesceMs
    quiescing.whenHeld = whenHeld ?? quiescing.whenHeld
  }
}

/** Whether anybody holds the guest's writes, and every time they were held: {by, at, until, heldMs}. No passwords. */
export function reportGuest({ guest, tools, system, guestNics, quiescing }: Machine) {
  return {
    tools: tools.state,
    operationsDisabled: tools.operationsDisabled,
    operationsReady: system !== null && tools.start && !tools.operationsDisabled,
    accounts: (system?.accounts ?? []).map(({ name, elevated }) => ({ name, elevated })),
    nics: guestNics,
    vss: quiescing.vss,
    quiesceMs: quiescing.quiesceMs,
    whenHeld: quiescing.whenHeld,
    held: guest.held,
    holds: guest.holds.map(({ by, atMs, untilMs }) => ({
      by,
      at: isoTime(atMs),
      atMs,
      untilMs,
    })),
  }
}
