// That the stack tells what whoever applies policies must set, and that the document says so.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parseTemplateYaml, textOf, valuesOf } from '../../scripts/template/template.ts'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

it('every variable of schedules is an output of the stack and stands in docs/POLICIES.md', () => {
  const needed = new Set(read('lib/wire/aws-settings.ts').match(/COLDFRAME_SCHEDULE_[A-Z_]+/g))
  expect(needed.size).toBeGreaterThanOrEqual(4)
  const described = Object.values(parseTemplateYaml(read('infra/doors.yml')).Outputs).map(
    (output) => textOf(valuesOf(output)['Description']) ?? '',
  )
  const document = read('docs/POLICIES.md')
  for (const variable of needed) {
    expect(described).toContain(`${variable}.`)
    expect(document).toContain(`${variable}=`)
  }
})
