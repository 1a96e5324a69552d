// The directory in which simulated guests have their files: made for it, and never anybody else's.

import { chmodSync, existsSync, mkdirSync, readdirSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BackupError } from '../../lib/base/errors.ts'
import { openGuardian } from './guardian.ts'
import { GUESTS_MARK } from './host-programs.ts'
import { removeTree } from './remove-tree.ts'

const MARK = '.coldframe-simulated-guests'

export type GuestsHome = Disposable & {
  /** A real path. */
  readonly directory: string
  /** Makes an empty directory for a guest, named like it. */
  add(name: string): string
}

/**
 * Makes the directory, or empties one that an earlier simulator left. It belongs into memory-backed storage (/dev/shm), for what
 * the guests' "memory" promises.
 * @throws BackupError 'usage' for a directory with somebody else's files, or one that "nobody" cannot reach
 */
export function openGuestsHome(wanted: string): GuestsHome {
  mkdirSync(wanted, { recursive: true })
  const directory = realpathSync(wanted)
  const entries = readdirSync(directory)
  if (entries.length > 0 && !existsSync(join(directory, MARK))) {
    throw unfit(directory, 'it holds files of others; an empty directory, or a new one, is needed')
  }
  for (const name of entries) removeTree(join(directory, name))
  writeFileSync(
    join(directory, MARK),
    'Files of simulated guests; emptied by the next simulator that is given this directory\n',
  )
  if (process.getuid?.() === 0) {
    chmodSync(directory, 0o755)
    for (let at = dirname(directory); ; at = dirname(at)) {
      if ((statSync(at).mode & 0o001) === 0) throw unfit(directory, `programs of plain accounts cannot pass "${at}"`)
      if (at === dirname(at)) break
    }
  }
  const guardian = openGuardian(`${GUESTS_MARK}=${directory}`)
  return {
    directory,
    add: (name) => {
      const stem = name.replaceAll(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+/, '_') || '_'
      for (let index = 0; ; index++) {
        const root = join(directory, index === 0 ? stem : `${stem}_${index}`)
        if (existsSync(root)) continue
        mkdirSync(root)
        return root
      }
    },
    [Symbol.dispose]: () => {
      guardian[Symbol.dispose]()
      removeTree(directory)
    },
  }
}

function unfit(directory: string, why: string): BackupError {
  return new BackupError(`Cannot keep the files of guests in "${directory}": ${why}`, { code: 'usage', kind: 'usage' })
}
