// Where the commands' settings come from: the environment, and coldframe.yaml of the working folder.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BackupError, messageOf } from '../lib/base/errors.ts'
import { parseSettings, type Settings, type SettingsNeed } from '../lib/wire/settings.ts'
import type { World } from './world.ts'

/** @throws BackupError `settings-faulty` */
export async function readSettings(world: World, needs: readonly SettingsNeed[]): Promise<Settings> {
  const path = join(world.folder, 'coldframe.yaml')
  const text = await readTextIfThere(path)
  const file = text === null ? null : { path: 'coldframe.yaml', text }
  return parseSettings({ environment: world.environment, folder: world.folder, file }, needs)
}

/** @throws BackupError `file-unreadable` (usage) */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new BackupError(`Cannot read "${path}": ${messageOf(error)}`, {
      code: 'file-unreadable',
      kind: 'usage',
      hint: 'Check the path; nothing was started',
      facts: { path },
      cause: error,
    })
  }
}

async function readTextIfThere(path: string): Promise<string | null> {
  try {
    return await readText(path)
  } catch (error) {
    if (error instanceof BackupError && error.cause instanceof Error && 'code' in error.cause) {
      if (error.cause.code === 'ENOENT') return null
    }
    throw error
  }
}
