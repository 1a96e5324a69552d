// coldframe script: stores a script bundle beside the repository, and says what a policy needs to name it.

import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { BackupError, messageOf, quote } from '../lib/base/errors.ts'
import { isScriptKey } from '../lib/model/policy.ts'
import type { ObjectStore } from '../lib/ports/object-store.ts'
import { BUNDLE_BYTES_MAX } from '../lib/stages/guest/load-scripts.ts'
import type { Answer } from './answer.ts'
import { isElsewhere, openScripts } from './context.ts'
import { readSettings } from './settings.ts'
import type { World } from './world.ts'

export type ScriptOptions = {
  readonly file: string
  /** The key, below "scripts/". */
  readonly as?: string
}

export async function script(options: ScriptOptions, world: World): Promise<Answer> {
  const key = options.as ?? `scripts/${basename(options.file)}`
  if (!isScriptKey(key)) {
    throw new BackupError(`Cannot store a script bundle as ${quote(key)}: it must be a key below "scripts/"`, {
      code: 'usage',
      kind: 'usage',
      hint: 'Letters, digits, ".", "_" and "-", for example --as scripts/db-2.tgz',
    })
  }
  const bytes = await readBundle(resolve(world.folder, options.file))
  const store = await openStore(world)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const answer = await store.putIfAbsent({ key, bytes }, world)
  if (answer === 'exists') {
    const there = await store.get(key, world)
    const other = there === null ? '' : createHash('sha256').update(there).digest('hex')
    if (other !== sha256) {
      throw new BackupError(`Cannot store "${options.file}" as "${key}": another bundle has that name ("${other}")`, {
        code: 'script-exists',
        kind: 'refused',
        hint: 'Stored objects are never overwritten: choose another name with --as, and let the policy name that one',
        facts: { key, sha256, other },
      })
    }
  }
  const stored = answer === 'stored' ? 'Stored' : 'Is there already'
  const text = `${stored}: ${key}, ${bytes.byteLength} bytes\nIn a policy: {bundle: ${key}, sha256: "${sha256}", entry: …}\n`
  return { data: { key, sha256, sizeBytes: bytes.byteLength, stored: answer === 'stored' }, text, fault: null }
}

/** A stack's bucket by the stack's own settings, or what is beside the repository of this machine. */
async function openStore(world: World): Promise<ObjectStore> {
  if (isElsewhere(world)) {
    const { openAwsScripts } = await import('../lib/compose/aws-policies.ts')
    return openAwsScripts(world.environment)
  }
  const { repository } = await readSettings(world, ['store'])
  const settings = await readSettings(world, [repository?.kind === 's3' ? 'store' : 'repository'])
  return await openScripts(settings, world)
}

async function readBundle(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path)
    if (size <= BUNDLE_BYTES_MAX) return await readFile(path)
    throw new BackupError(`Cannot store "${path}": it has ${size} bytes, at most ${BUNDLE_BYTES_MAX} are injected`, {
      code: 'script-large',
      kind: 'usage',
      hint: 'Keep large programs in the guest and let the bundle call them',
    })
  } catch (error) {
    if (error instanceof BackupError) throw error
    throw new BackupError(`Cannot read "${path}": ${messageOf(error)}`, {
      code: 'file-unreadable',
      kind: 'not-found',
      hint: 'Name a .tgz, .zip or a single script',
      cause: error,
    })
  }
}
