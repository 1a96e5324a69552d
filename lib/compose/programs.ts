// Where this project's programs lie, for those that run one another as processes on one machine.

import { fileURLToPath } from 'node:url'

const ENTRIES = { cli: 'cli/coldframe.mjs', sim: 'sim/main.ts', task: 'task/main.ts' }

/** The absolute path of a program's entry, to be run by Node. */
export function programPath(name: keyof typeof ENTRIES): string {
  return fileURLToPath(new URL(`../../${ENTRIES[name]}`, import.meta.url))
}
