// The document of the HTTP API: it is valid OpenAPI 3.1, it is the one in docs/, and it says what the routes say.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { describe, expect, it } from 'vitest'
import { ROUTES, type Route } from '../../lib/wire/api/routes.ts'
import { openApiText } from '../../scripts/openapi.ts'

const document = JSON.parse(openApiText())

describe('docs/openapi.json', () => {
  it('is up to date: run "node scripts/openapi.ts" after a change of the API', async () => {
    const kept = await readFile(join(import.meta.dirname, '..', '..', 'docs', 'openapi.json'), 'utf8')
    expect(JSON.parse(kept)).toEqual(document)
  })

  it('is valid OpenAPI 3.1, every reference resolved', async () => {
    const validator = new Validator()
    expect(await validator.validate(document)).toEqual({ valid: true })
    expect(validator.version).toBe('3.1')
    expect(JSON.stringify(validator.resolveRefs())).not.toContain('"$ref"')
  })

  it('names each route once, with its scope', () => {
    const told = Object.entries<Record<string, { operationId: string; security: unknown }>>(document.paths).flatMap(
      ([path, methods]) =>
        Object.entries(methods).map(([method, { operationId, security }]) => [
          operationId,
          `${method} ${path}`,
          security,
        ]),
    )
    const wanted = Object.entries<Route>(ROUTES).map(([name, { method, path, scope }]) => [
      name,
      `${method.toLowerCase()} ${path}`,
      [{ token: [scope] }, { iam: [] }],
    ])
    expect(told.toSorted()).toEqual(wanted.toSorted())
  })

  it('is refused by its validator when a reference dangles', async () => {
    const broken = JSON.parse(openApiText().replaceAll('#/components/schemas/Run"', '#/components/schemas/Runn"'))
    const validator = new Validator()
    await validator.validate(broken)
    expect(() => validator.resolveRefs()).toThrow()
  })
})
