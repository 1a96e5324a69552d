// That alarms count lines which functions really write, and that the dashboard is a document.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseTemplateYaml, textOf, valuesOf } from '../../scripts/template/template.ts'

const root = join(import.meta.dirname, '..', '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const { Resources } = parseTemplateYaml(read('infra/alarms.yml'))
const filters = Object.values(Resources).filter(({ type }) => type === 'AWS::Logs::MetricFilter')
const library = globSync('lib/**/*.ts', { cwd: root }).map(read).join('\n')

describe('alarms on lines of the log', () => {
  const names = filters.flatMap(({ properties }) => [
    ...(textOf(properties['FilterPattern']) ?? '').matchAll(/message = "([^"]+)"/g),
  ])
  it.each(names.map(([, name]) => name))('count "%s", which the library writes', (name) => {
    expect(library).toMatch(new RegExp(`log\\.(?:info|warn|error)\\(\\s*'${name?.replace('.', '\\.')}'`))
  })

  it('are one for each count', () => {
    const counted = filters.map(({ properties }) => JSON.stringify(properties['MetricTransformations']))
    const watched = Object.values(Resources)
      .filter(({ type }) => type === 'AWS::CloudWatch::Alarm')
      .flatMap(({ properties }) => textOf(properties['MetricName']) ?? [])
    expect(counted.length).toBeGreaterThan(3)
    for (const text of counted) expect(watched.some((name) => text.includes(`"${name}"`))).toBe(true)
  })
})

it('every alarm stands in docs/OPERATIONS.md', () => {
  const alarms = Object.entries(Resources).filter(([, { type }]) => type === 'AWS::CloudWatch::Alarm')
  const told = [...read('docs/OPERATIONS.md').matchAll(/^\| `(\w+Alarm)` \|/gm)].map(([, name]) => name)
  expect(told.toSorted()).toEqual(alarms.map(([name]) => name).toSorted())
})

it('the dashboard is JSON once its names are filled in', () => {
  const { Dashboard } = parseTemplateYaml(read('infra/dashboard.yml')).Resources
  const body = textOf(valuesOf(Dashboard?.properties['DashboardBody'])['Fn::Sub']) ?? ''
  const filled = body.replaceAll(/\$\{!?[^}]+\}/g, 'name')
  expect(JSON.parse(filled).widgets.length).toBeGreaterThan(4)
})
