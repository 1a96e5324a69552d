// The repository of a home: made at a new place, and never made anew where one was.

import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { createLocalRepository } from '../../lib/compose/local.ts'
import { parseSettings } from '../../lib/wire/settings.ts'

const cancel = { signal: new AbortController().signal }
let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coldframe-home-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function open(name: string) {
  const environment = {
    COLDFRAME_HOME: join(folder, 'home'),
    COLDFRAME_REPOSITORY: `file:${join(folder, name)}`,
    COLDFRAME_PASSPHRASE: 'a passphrase',
  }
  const settings = parseSettings({ environment, file: null, folder }, ['repository'])
  return createLocalRepository(settings, { environment, clock: systemClock, random: systemRandom }, cancel)
}

it('a folder that was not mounted is not taken for a new repository', async () => {
  const { id } = await open('repository')
  await rename(join(folder, 'repository'), join(folder, 'away'))
  await expect(open('repository')).rejects.toMatchObject({ code: 'repository-missing', facts: { repositoryId: id } })
  await rename(join(folder, 'away'), join(folder, 'repository'))
  expect((await open('repository')).id).toBe(id)
})

it('another place is a new one', async () => {
  const first = await open('repository')
  const second = await open('elsewhere')
  expect(second.id).not.toBe(first.id)
})
