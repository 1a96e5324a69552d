// Stored JSON of the repository itself: settings (repo/), wrapped keys (keys/), session starts (s/…/start).

import * as z from 'zod'
import { parseSessionId, parseVmId } from '../../model/ids.ts'
import { pageRefJson } from './page-ref.ts'

export const formatName = 'coldframe-repository'
export const formatVersion = 1

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`))
const base64 = z.base64()

/** What an authentic document says of itself: which format, which version, which features a reader must know. */
export const formatClaim = z.object({
  format: z.literal(formatName),
  document: z.string(),
  version: z.int().min(1),
  required: z.array(z.string()),
})

/** Which master key a document's MAC is made with: named alike in every version. */
export const kidClaim = z.object({ kid: hex(16) })

/** What says which keys prove settings, and under which name they count: named alike in every version. */
export const settingsClaim = z.object({ repositoryId: hex(32), kid: hex(16), number: z.int().min(1) })

export type RepositorySettings = {
  readonly repositoryId: string
  /** That of the object's name: an older document under a higher name is none. */
  readonly number: number
  /** Master key for new packs. */
  readonly kid: string
  readonly createdAt: string
  /** For disks without a parent: 16 to 22. */
  readonly chunkLog2: number
  /** T_max: no session may commit later than this after its start. */
  readonly sessionMsMax: number
  /** Features that a writer must know; readers need not. */
  readonly requiredToWrite: readonly string[]
}

/** repo/<n>.json. Unknown members are ignored: what a reader must understand is named in `required`. */
export const settingsJson = z.object({
  repositoryId: hex(32),
  number: z.int().min(1),
  kid: hex(16),
  createdAt: z.iso.datetime(),
  chunkLog2: z.int().min(16).max(22),
  sessionMsMax: z.int().min(1),
  requiredToWrite: z.array(z.string()),
}) satisfies z.ZodType<RepositorySettings>

/** keys/<kid>/<n>.json */
export const keysJson = z.object({
  repositoryId: hex(32),
  kid: hex(16),
  /** The master key, once for each wrapper; any one opens it. */
  wraps: z.array(z.object({ kind: z.string().min(1), blob: base64 })).min(1),
  /** The root of all chunk-id keys, sealed under this master key. */
  chunkIds: z.object({ salt: hex(32), sealed: base64 }),
})
export type KeysJson = z.output<typeof keysJson>

/** s/<sessionId>/start: which pack sets a sweep must count as alive while the session runs. */
export const sessionStartJson = z.object({
  repositoryId: hex(32),
  kid: hex(16),
  sessionId: z.string().transform(parseSessionId),
  startedAt: z.iso.datetime(),
  parents: z.array(
    z.object({ vmId: z.string().transform(parseVmId), sequence: z.int().min(1), packSet: z.array(pageRefJson) }),
  ),
})
export type SessionStart = z.output<typeof sessionStartJson>
