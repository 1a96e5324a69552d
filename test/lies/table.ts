// The lie table as docs/LIES.md shows it. `node test/lies/table.ts` writes it there anew.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EXPORT_LIES } from './export-lies.ts'
import type { Chapter, Lie, Sign } from './lie.ts'
import { SNAPSHOT_LIES } from './snapshot-lies.ts'
import { TRACKING_LIES } from './tracking-lies.ts'

const BEGIN = '<!-- The tables below are made of test/lies; `node test/lies/table.ts` writes them. -->\n'
const END = '<!-- End of the tables. -->\n'

export const DOCUMENT = join(import.meta.dirname, '../../docs/LIES.md')

if (import.meta.main) writeFileSync(DOCUMENT, withTables(readFileSync(DOCUMENT, 'utf8')))

/** The document with its tables as the rows have them. @throws when it has no place for them */
export function withTables(document: string): string {
  const [before, rest] = document.split(BEGIN)
  const after = rest?.split(END)[1]
  if (before === undefined || after === undefined) throw new Error('There is no place for the tables')
  return `${before}${BEGIN}${[...TRACKING_LIES, ...SNAPSHOT_LIES, EXPORT_LIES].map(tableOf).join('')}\n${END}${after}`
}

function tableOf({ title, lies }: Chapter): string {
  const rows = lies.map((lie) => `| ${lie.lie} | ${lie.noticed.map(signText).join('; ')} | ${endText(lie)} |\n`)
  return `\n### ${title}\n\n| what is not so, or what happens | how it is noticed | what becomes of it |\n| --- | --- | --- |\n${rows.join('')}`
}

function signText(sign: Sign): string {
  if ('read' in sign) return `the disk is read whole: \`${sign.read}\``
  if ('notice' in sign) return `notice \`${sign.notice}\``
  if ('outcome' in sign) return `outcome \`${sign.outcome}\``
  if ('later' in sign) return `not in this backup: ${sign.later}`
  if ('harmless' in sign) return `not at all: ${sign.harmless}`
  if ('readBytes' in sign) return 'not at all: more is read than need be'
  if ('waits' in sign) return `the job waits, for "${sign.waits}"`
  if ('repeats' in sign) return 'the answer is refused and asked for again'
  if ('attempts' in sign) return `attempt ${sign.attempts} reads the disks anew`
  const says = sign.says === undefined ? '' : `, "${sign.says.source}"`
  return `the log says \`${sign.log}\`${says}`
}

function endText({ ends, next, foreign, unproven }: Lie): string {
  const point = {
    success: unproven === undefined ? 'a good point' : 'a wrong point, marked as unproven',
    warning: `a good point, with warning \`${ends.code}\``,
    failed: `refused, \`${ends.code}\`: no point`,
    skipped: `skipped, \`${ends.code}\``,
  }[ends.kind]
  const after = next === undefined ? '' : `; the next backup ${nextText(next)}`
  return `${point}${after}${foreign === undefined ? '' : '; the snapshot of others stays'}`
}

function nextText({ kind, code }: NonNullable<Lie['next']>): string {
  return kind === 'warning' ? `warns \`${code}\`` : `is refused, \`${code}\``
}
