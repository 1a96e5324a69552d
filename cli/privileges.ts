// coldframe privileges: which vSphere privileges are needed for what, and commands that create the least roles. Contacts nothing.

import { BackupError, quote } from '../lib/base/errors.ts'
import { defaultPolicy, type Policy, type TransportName } from '../lib/model/policy.ts'
import { type Feature, featuresOf, privilegesFor, rolesFor } from '../lib/model/privileges.ts'
import { govcCommands, placeText, powercliCommands, sourceText } from '../lib/operate/privilege-text.ts'
import { parsePolicy } from '../lib/wire/policy.ts'
import type { Answer } from './answer.ts'
import { readText } from './settings.ts'
import { table } from './terminal.ts'

export type PrivilegesOptions = {
  /** Names between commas. */
  readonly transport?: string
  readonly guest?: string
  readonly policy?: string
  readonly encrypted: boolean
  readonly restore: boolean
  readonly alarms: boolean
  readonly format: string
}

const transports: readonly TransportName[] = ['san', 'hotadd', 'nbdssl', 'nbd', 'datastore', 'lease']
const formats = ['table', 'govc', 'powercli', 'json']

export async function privileges(options: PrivilegesOptions): Promise<Answer> {
  if (!formats.includes(options.format))
    throw usage(`Cannot print ${quote(options.format)}`, `Give --format ${listed(formats)}`)
  const features = await featuresWanted(options)
  const needs = privilegesFor(features)
  const roles = rolesFor(features)
  const data = {
    features,
    privileges: needs.map(({ feature: _, source, ...need }) => ({
      ...need,
      verified: source.kind !== 'field',
      source: sourceText(source),
    })),
    roles,
  }
  switch (options.format) {
    case 'govc':
      return { data, text: govcCommands(roles), fault: null }
    case 'powercli':
      return { data, text: powercliCommands(roles), fault: null }
    case 'json':
      return { data, text: `${JSON.stringify(data, null, 2)}\n`, fault: null }
    default: {
      const columns = ['PRIVILEGE', 'ON', 'FOR', 'KNOWN FROM'].map((title) => ({ title, align: 'left' as const }))
      const rows = needs.map(({ id, place, why, source }) => [id, placeText(place), why, sourceText(source)])
      return { data, text: table(columns, rows), fault: null }
    }
  }
}

async function featuresWanted(options: PrivilegesOptions): Promise<readonly Feature[]> {
  const policy =
    options.policy === undefined ? defaultPolicy() : parsePolicy(await readText(options.policy), options.policy)
  if (options.guest !== undefined && options.guest !== 'vix' && options.guest !== 'network')
    throw usage(`Cannot tell which way into guests ${quote(options.guest)} is`, 'Give --guest vix or --guest network')
  const own = featuresOf({ ...policy, transport: transportsOf(options, policy) }).filter((feature) => feature !== 'vix')
  const vix = options.guest === undefined ? featuresOf(policy).includes('vix') : options.guest === 'vix'
  return [
    ...own,
    ...(options.encrypted ? (['encrypted'] as const) : []),
    ...(vix ? (['vix'] as const) : []),
    ...(options.restore ? (['restore'] as const) : []),
    ...(options.alarms ? (['alarms'] as const) : []),
  ]
}

function transportsOf({ transport }: PrivilegesOptions, policy: Policy): readonly TransportName[] {
  return transport === undefined ? policy.transport : listOf(transport)
}

function listOf(text: string): readonly TransportName[] {
  return text.split(',').map((word) => {
    const name = transports.find((one) => one === word.trim())
    if (name !== undefined) return name
    throw usage(`Cannot tell which transport ${quote(word)} is`, `The transports are ${listed(transports)}`)
  })
}

function listed(words: readonly string[]): string {
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

function usage(message: string, hint: string): BackupError {
  return new BackupError(message, { code: 'usage', kind: 'usage', hint })
}
