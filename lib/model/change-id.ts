// vSphere's change id, "<uuid>/<counter>": whether changes can be asked from an older one.

export type ChangeIdParts = { readonly uuid: string; readonly counter: number }

/** @returns null when the text has not the documented form; such an id proves nothing */
export function parseChangeId(text: string): ChangeIdParts | null {
  const match = /^(.+)\/([0-9]+)$/.exec(text)
  return match === null ? null : { uuid: match[1] ?? '', counter: Number(match[2]) }
}

/** Why changes since `older` cannot be trusted for a disk that is at `newer` now; null when they can. */
export function changeIdBreak(
  older: string,
  newer: string,
): 'change-id-unreadable' | 'change-id-other-chain' | 'change-id-went-back' | null {
  const from = parseChangeId(older)
  const to = parseChangeId(newer)
  if (from === null || to === null) return 'change-id-unreadable'
  if (from.uuid !== to.uuid) return 'change-id-other-chain'
  return to.counter < from.counter ? 'change-id-went-back' : null
}
