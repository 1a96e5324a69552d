// Writes docs/openapi.json, the document of the HTTP API, from its routes and schemas: `node scripts/openapi.ts`.

import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openApiDocument } from '../lib/wire/api/openapi.ts'

/** The document as text. */
export function openApiText(): string {
  return `${JSON.stringify(openApiDocument(), null, 2)}\n`
}

if (import.meta.main) writeFileSync(join(dirname(import.meta.dirname), 'docs', 'openapi.json'), openApiText())
