// docs/LIES.md says what the rows of the lie table say, which are proved one by one.

import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { DOCUMENT, withTables } from './table.ts'

it('docs/LIES.md has the table as it is proved; if not, run "node test/lies/table.ts"', () => {
  const document = readFileSync(DOCUMENT, 'utf8')
  expect(document).toBe(withTables(document))
})
