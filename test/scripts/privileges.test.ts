// The generated part of docs/TRANSPORTS.md.

import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { transportsPath, withPrivileges } from '../../scripts/privileges.ts'

it('docs/TRANSPORTS.md has the privileges that the code has; "node scripts/privileges.ts" writes them', () => {
  const document = readFileSync(transportsPath, 'utf8')
  expect(document).toBe(withPrivileges(document))
})
