// Reads what a document says about the inside of a guest: accounts, addresses, Volume Shadow Copies.

import type { GuestAccount } from '../guest/types.ts'
import type { GuestBridge } from '../machine/tools.ts'
import { VSS_HEALTHS, type Vss } from '../machine/vss.ts'
import { JsonObject, type JsonSpot, textOf } from './json.ts'

export function readAccount(spot: JsonSpot): GuestAccount {
  const object = new JsonObject(spot, { keys: ['name', 'password', 'elevated'] })
  return {
    name: object.text('name', {}),
    password: object.text('password', {}),
    elevated: object.flag('elevated', { fallback: false }),
  }
}

export function readBridge(spot: JsonSpot): GuestBridge {
  const object = new JsonObject(spot, { keys: ['macAddress', 'addresses'] })
  return {
    macAddress: object.text('macAddress', { fallback: '02:42:ac:11:00:01' }),
    addresses: object.list('addresses', { item: textOf }),
  }
}

/** A list of texts inside a list. */
export function readTexts({ value, at, faults }: JsonSpot): readonly string[] {
  return new JsonObject({ value: { [at]: value }, at: '', faults }, { keys: [at] }).list(at, { item: textOf })
}

export const VSS_KEYS = ['health', 'failingWriter', 'writers', 'manifestPath'] as const

/** @returns what it makes of the state before: what is left out stays as it was */
export function readVss(object: JsonObject): (before: Vss) => Vss {
  const health = object.has('health') ? object.choice('health', { of: VSS_HEALTHS }) : null
  const failingWriter = object.textOrNull('failingWriter')
  const writers = object.has('writers') ? object.list('writers', { item: textOf }) : null
  const manifestPath = object.has('manifestPath')
    ? object.choice('manifestPath', { of: ['relative', 'datastore'] })
    : null
  return (before) => ({
    health: health ?? before.health,
    failingWriter: failingWriter ?? before.failingWriter,
    writers: writers ?? before.writers,
    manifestPath: manifestPath ?? before.manifestPath,
  })
}
