// Writes docs/openapi.json, the document of the HTTP API, from its routes and schemas: `node scripts/openapi.ts`.

import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openApiDocument } from '../lib/wire/api/openapi.ts'

const root = dirname(import.meta.dirname)

/** The document of this version of the program, as text. */
export function openApiText(): string {
  const manifest: { readonly version: string } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return `${JSON.stringify(openApiDocument(manifest.version), null, 2)}\n`
}

if (import.meta.main) writeFileSync(join(root, 'docs', 'openapi.json'), openApiText())
