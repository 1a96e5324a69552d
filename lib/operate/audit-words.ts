// What an audit of changed block tracking did, in words for people.

import { formatBytes } from '../base/text.ts'
import type { DiskAudit } from '../model/point.ts'

/** For example "audited 2,600 chunks (650 MiB) in turn 12 of 50, none differs". */
export function auditWords({ slot, slots, chunks, readBytes, mismatches }: DiskAudit): string {
  const found = mismatches === 0 ? 'none differs' : `${mismatches} ${mismatches === 1 ? 'differs' : 'differ'}`
  return `audited ${chunks} chunks (${formatBytes(readBytes)} read) in turn ${slot + 1} of ${slots}, ${found}`
}
