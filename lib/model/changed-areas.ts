// The loop over QueryChangedDiskAreas: one reply describes a window of the disk, and the windows must cover all of it.

import { BackupError, type Facts } from '../base/errors.ts'
import { type Extent, mergeExtents } from './extent.ts'

/** One reply: what changed between startOffset and startOffset + length; no areas when nothing did. */
export type ChangedWindow = {
  readonly startOffset: number
  readonly length: number
  readonly areas: readonly Extent[]
}

export type ChangedAreasLimits = {
  readonly capacityBytes: number
  /** Replies at most; a server holds some 2,000 areas in one. */
  readonly roundsMax: number
}

/**
 * Asks window after window until the whole disk is covered. Never asks at or beyond the capacity, which vCenter refuses.
 * An empty window is an answer: only its length says how far it reaches (vSphere Web Services API, DiskChangeInfo).
 * @param query called with the byte to ask from
 * @returns ascending, disjoint, never touching, inside the capacity
 * @throws BackupError `cbt-unusable`, retry 'as-full', when the replies do not prove that nothing was left out
 */
export async function collectChangedAreas(
  query: (startOffset: number) => Promise<ChangedWindow>,
  { capacityBytes, roundsMax }: ChangedAreasLimits,
): Promise<readonly Extent[]> {
  const areas: Extent[] = []
  let coveredBytes = 0
  for (let round = 0; coveredBytes < capacityBytes; round++) {
    if (round >= roundsMax)
      throw unusable(`${roundsMax} replies did not cover the disk`, { coveredBytes, capacityBytes })
    const window = await query(coveredBytes)
    checkWindow(window, { startOffset: coveredBytes, capacityBytes })
    for (const area of window.areas) areas.push(area)
    coveredBytes += window.length
  }
  return mergeExtents(areas)
}

function checkWindow(
  { startOffset, length, areas }: ChangedWindow,
  asked: { readonly startOffset: number; readonly capacityBytes: number },
): void {
  const facts = { ...asked, repliedStart: startOffset, repliedLength: length }
  if (startOffset !== asked.startOffset) throw unusable('a reply does not start where it was asked to', facts)
  if (!Number.isSafeInteger(length) || length <= 0) throw unusable('a reply covers nothing', facts)
  const windowEnd = startOffset + length
  if (windowEnd > asked.capacityBytes) throw unusable('a reply reaches beyond the disk', facts)
  let position = startOffset
  for (const { offsetBytes, lengthBytes } of areas) {
    const end = offsetBytes + lengthBytes
    const sound = Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes) && lengthBytes > 0
    if (!sound || offsetBytes < position || end > windowEnd) {
      throw unusable('an area is empty, out of order or outside its window', {
        ...facts,
        areaStart: offsetBytes,
        areaLength: lengthBytes,
      })
    }
    position = end
  }
}

function unusable(reason: string, facts: Facts): BackupError {
  return new BackupError(`Cannot trust the changed areas of a disk: ${reason}`, {
    code: 'cbt-unusable',
    retry: 'as-full',
    hint: 'The disk is read whole; only what differs is stored',
    facts,
  })
}
