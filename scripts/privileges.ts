// Writes the tables of privileges in docs/TRANSPORTS.md from lib/model/privileges.ts: node scripts/privileges.ts

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { privilegeMarkdown } from '../lib/operate/privilege-text.ts'

export const transportsPath = join(import.meta.dirname, '../docs/TRANSPORTS.md')

const begin = '<!-- written by scripts/privileges.ts -->'
const end = '<!-- end -->'

/** The document with its tables as the code has them now. */
export function withPrivileges(document: string): string {
  const from = document.indexOf(begin)
  const to = document.indexOf(end, from)
  if (from < 0 || to < 0) throw new Error(`docs/TRANSPORTS.md must hold "${begin}" and after it "${end}"`)
  return `${document.slice(0, from + begin.length)}\n\n${privilegeMarkdown()}\n${document.slice(to)}`
}

if (import.meta.main) writeFileSync(transportsPath, withPrivileges(readFileSync(transportsPath, 'utf8')))
