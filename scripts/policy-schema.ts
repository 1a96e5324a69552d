// Writes docs/policy.schema.json from the schema that reads policies. A test compares the two.

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { policySchema } from '../lib/wire/policy-schema.ts'

const root = dirname(import.meta.dirname)
const path = join(root, 'docs', 'policy.schema.json')

writeFileSync(path, `${JSON.stringify(policySchema(), null, 2)}\n`)
const formatted = spawnSync(join(root, 'node_modules', '.bin', 'biome'), ['format', '--write', path], {
  stdio: 'inherit',
})
process.exitCode = formatted.status ?? 1
