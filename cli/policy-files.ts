// Policies that a command is given: files, or the name of one that was applied.

import { BackupError } from '../lib/base/errors.ts'
import { isPolicyName, parsePolicyName } from '../lib/model/ids.ts'
import type { Policy } from '../lib/model/policy.ts'
import { unknownPolicy, type WantedPolicy } from '../lib/operate/policy-apply.ts'
import { parsePolicy, readPolicy } from '../lib/wire/policy.ts'
import type { Settings } from '../lib/wire/settings.ts'
import { openHomeIfThere } from './context.ts'
import { readText } from './settings.ts'
import type { World } from './world.ts'

/** @throws BackupError `policy-malformed` (usage) with every fault of every file as "file:line:column: what", or `file-unreadable` */
export async function readPolicies(files: readonly string[]): Promise<readonly WantedPolicy[]> {
  const read = await Promise.all(files.map(async (file) => ({ file, text: await readText(file) })))
  const faults: string[] = []
  const policies: WantedPolicy[] = []
  const fileOf = new Map<string, string>()
  for (const { file, text } of read) {
    const result = readPolicy(text)
    if (result.kind === 'refused') {
      for (const { line, column, message } of result.faults)
        faults.push(line === 0 ? `${file}: ${message}` : `${file}:${line}:${column}: ${message}`)
      continue
    }
    const { policy } = result
    const other = fileOf.get(policy.name)
    if (other !== undefined) faults.push(`${file}: policy "${policy.name}" is in "${other}" as well`)
    fileOf.set(policy.name, file)
    policies.push({ policy, text })
  }
  if (faults.length === 0) return policies
  const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`
  throw new BackupError(
    `Cannot read policies: ${count} in ${files.length === 1 ? 'the file' : `${files.length} files`}`,
    {
      code: 'policy-malformed',
      kind: 'usage',
      hint: 'Correct the lines that are named; nothing was changed',
      facts: { faults },
    },
  )
}

/** The policy of a file; null when the text is no path but may be the name of an applied policy. */
export async function policyOfFile(text: string): Promise<Policy | null> {
  // What has a "." or a "/" in it is a path.
  return isPolicyName(text) ? null : parsePolicy(await readText(text), text)
}

/** @throws BackupError `policy-not-found` when neither an applied policy nor a file has this name */
export async function policyNamed(text: string, settings: Settings, world: World): Promise<Policy> {
  using local = await openHomeIfThere(settings, world)

  const stored = local === null ? null : await local.jobStore.policies.get(parsePolicyName(text), world)
  if (stored?.value.state === 'active') return stored.value.policy
  try {
    return parsePolicy(await readText(text), text)
  } catch (error) {
    if (error instanceof BackupError && error.code === 'file-unreadable') throw unknownPolicy(text)
    throw error
  }
}
