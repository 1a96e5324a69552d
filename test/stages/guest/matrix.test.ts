// Every combination of network, VMware Tools, mode and script, against the table of docs/GUESTS.md: outcome, grade, way in and
// what is said. The stages, the engine, the mover, the wrapper and the scripts are real; the guest is processes of this machine.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { mapBounded } from '../../kit/map-bounded.ts'
import { expectRest, pointOfJob } from '../backups.ts'
import { newEngine } from '../engine.ts'
import { backUpGuest, type Door, guestPolicy, newGuestWorld, storeScript, workspacesIn } from './guest-world.ts'

const NETWORK = { ok: 'ok', refused: 'refused', 'times out': 'times-out', 'no sign-in': 'login-refused' } as const
const TOOLS = { ok: 'ok', absent: 'absent', 'non-root': 'non-root' } as const
const MODES = ['require', 'try', 'off'] as const
const SCRIPTS = {
  succeeds: 'echo held > "$HOME/state"',
  fails: 'echo cannot hold >&2; exit 7',
  hangs: 'echo held > "$HOME/state"; sleep 600 & sleep 600',
} as const

type Row = {
  readonly cells: readonly (readonly string[])[]
  readonly outcome: string
  readonly grade: string
  readonly wayIn: string
  readonly says: string
}

/** The lines of the table, each cell of the first four columns as a list; "any" stands for all. */
function readTable(): readonly Row[] {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/GUESTS.md'), 'utf8')
  const lines = text.slice(text.indexOf('## What comes of it')).split('\n')
  const rows = lines.filter((line) => line.startsWith('| ') && !/^\| (network|---)/.test(line))
  return rows.map((line) => {
    const [network = '', tools = '', mode = '', script = '', outcome = '', grade = '', wayIn = '', says = ''] = line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim())
    return { cells: [network, tools, mode, script].map((cell) => cell.split(', ')), outcome, grade, wayIn, says }
  })
}

type Combination = readonly [keyof typeof NETWORK, keyof typeof TOOLS, (typeof MODES)[number], keyof typeof SCRIPTS]

function keysOf<Key extends string>(record: Readonly<Record<Key, unknown>>): readonly Key[] {
  return Object.keys(record).filter((key): key is Key => key in record)
}

const combinations = keysOf(NETWORK).flatMap((network) =>
  keysOf(TOOLS).flatMap((tools) =>
    MODES.flatMap((mode) => keysOf(SCRIPTS).map((script): Combination => [network, tools, mode, script])),
  ),
)

function rowFor(table: readonly Row[], combination: Combination): Row {
  const matching = table.filter(({ cells }) =>
    cells.every((allowed, index) => allowed.includes('any') || allowed.includes(combination[index] ?? '')),
  )
  const [row] = matching
  if (row === undefined || matching.length > 1)
    throw new Error(`${matching.length} rows of the table are about ${combination.join(' / ')}`)
  return row
}

async function run([network, tools, mode, script]: Combination) {
  await using made = await newGuestWorld()

  made.network = NETWORK[network]
  made.tools = TOOLS[tools] satisfies Door
  const preFreeze = await storeScript(made, {
    name: 'freeze.sh',
    text: `#!/bin/sh\n${SCRIPTS[script]}\n`,
    timeoutMs: 1_000,
    elevated: true,
  })
  const thawed = 'echo thawed >> "$HOME/thaws"'
  const postThaw = await storeScript(made, { name: 'thaw.sh', text: `${thawed}\n`, elevated: true })
  const policy = guestPolicy({ guest: { mode }, scripts: { linux: { preFreeze, postThaw } } })
  const job = await backUpGuest(made, policy)
  const point = await pointOfJob(made.world, job)
  await expectRest(newEngine(made.world))
  expect(await workspacesIn(made)).toEqual([])
  const opened = made.opened.at(0) ?? 'none'
  const words = [job.outcome?.message, ...job.notices.map((notice) => notice.message)].join('; ')
  const proof = point?.body.grade
  const reasons =
    proof === undefined
      ? ''
      : [...proof.fallbacks, ...(proof.proof?.attempts ?? []).map((each) => each.reason)].join('; ')
  return { job, opened, grade: proof?.reached ?? '', words: `${words}; ${reasons}`, proof }
}

describe('guest processing', () => {
  const table = readTable()

  it('is described by the table: each combination by one row', () => {
    expect(combinations).toHaveLength(108)
    for (const combination of combinations) rowFor(table, combination)
    const used = new Set(combinations.map((combination) => rowFor(table, combination)))
    expect(used.size).toBe(table.length)
  })

  it('does in every combination what the table says', { timeout: 240_000 }, async () => {
    const results = await mapBounded(combinations, { atOnce: 6 }, async (combination) => {
      const row = rowFor(table, combination)
      const { job, opened, grade, words, proof } = await run(combination)
      const got = { outcome: `${job.outcome?.kind} ${job.outcome?.code}`, grade, wayIn: opened }
      const told = words.includes(row.says) ? row.says : words
      const freezeIsProven = grade !== 'application' || (proof?.freezeMs ?? 0) > 0
      return { name: combination.join(' / '), got: { ...got, says: told }, freezeIsProven }
    })
    expect(results.map(({ name, got }) => ({ name, ...got }))).toEqual(
      combinations.map((combination) => {
        const { outcome, grade, wayIn, says } = rowFor(table, combination)
        return { name: combination.join(' / '), outcome, grade, wayIn, says }
      }),
    )
    expect(results.every(({ freezeIsProven }) => freezeIsProven)).toBe(true)
  })
})
