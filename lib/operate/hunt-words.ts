// What hunt found on a VM, in words for people.

import type { Moref } from '../model/ids.ts'

/** As lib/stages/hunt.ts gives it. */
export type FoundOnVm = {
  readonly vm: { readonly moref: Moref; readonly name: string }
  readonly snapshots: readonly string[]
  readonly disks: string | null
  readonly outcome: 'mended' | 'waits' | 'left' | 'not-tried'
  readonly reason: string | null
  readonly hint: string | null
}

const OUTCOMES = {
  mended: 'mended',
  waits: 'not mended yet',
  left: 'needs somebody',
  'not-tried': 'only looked at',
} as const

/** One line for each fact. */
export function describeFound({ vm, snapshots, disks, outcome, reason, hint }: FoundOnVm): readonly string[] {
  const found = [
    ...snapshots.map((name) => `snapshot "${name}" of ours, which no job needs`),
    ...(disks === null ? [] : [disks]),
  ]
  return [
    `${vm.name} (${vm.moref}): ${OUTCOMES[outcome]}${reason === null ? '' : `, ${reason}`}`,
    ...found.map((each) => `  ${each}`),
    ...(hint === null ? [] : [`  hint: ${hint}`]),
  ]
}
