// Secrets that policies name: a variable or a file of the folder, and nothing else of this machine.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { localSecrets } from '../../../lib/adapters/local/secrets.ts'

const cancel = { signal: new AbortController().signal }
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coldframe-secrets-'))
  await writeFile(join(folder, 'db-linux'), 'user: a\npassword: from the file\n')
})
afterAll(() => rm(folder, { recursive: true }))

it('a named secret is the variable of its name, else the file of its name', async () => {
  const environment = { COLDFRAME_SECRET_WEB_LINUX: 'user: web', COLDFRAME_SECRET_EMPTY: '' }
  const secrets = localSecrets({ references: {}, environment, folder })
  expect(await secrets.read('web-linux', cancel)).toBe('user: web')
  expect(await secrets.read('db-linux', cancel)).toBe('user: a\npassword: from the file')
  await expect(secrets.read('empty', cancel)).rejects.toMatchObject({ code: 'secret-missing', kind: 'usage' })
})

it('a secret is read anew each time: a rotated password needs no restart', async () => {
  const secrets = localSecrets({ references: {}, environment: {}, folder })
  await writeFile(join(folder, 'rotated'), 'one')
  expect(await secrets.read('rotated', cancel)).toBe('one')
  await writeFile(join(folder, 'rotated'), 'two')
  expect(await secrets.read('rotated', cancel)).toBe('two')
})

it('a name that is a path is no name', async () => {
  const secrets = localSecrets({ references: {}, environment: {}, folder: join(folder, 'sub') })
  for (const name of ['../db-linux', '/etc/passwd', 'DB', '', '.'])
    await expect(secrets.read(name, cancel)).rejects.toMatchObject({ code: 'secret-missing', facts: { name } })
})

it('says which variable and which folder would hold it', async () => {
  const secrets = localSecrets({ references: {}, environment: {}, folder: null })
  await expect(secrets.read('db-linux', cancel)).rejects.toThrow(/COLDFRAME_SECRET_DB_LINUX.*COLDFRAME_SECRETS/)
})
