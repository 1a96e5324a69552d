// What the users may do: everything but the privileges they were denied, everywhere or at and below one object.

import type { Front } from './front.ts'
import { privileges } from './objects/singletons.ts'
import type { Entity } from './world.ts'

/**
 * @param on null for what is no inventory object, such as a service
 * @returns whether it is held there: a denial reads "PRIVILEGE", or "PRIVILEGE@NAME" for the objects of that name and what is
 *   below them
 */
export function isGranted(front: Front, privilege: string, on: Entity | null): boolean {
  if (!privileges().includes(privilege)) return false
  const names = new Set<string>()
  for (let at = on; at !== null; at = at.parent) names.add(at.name)
  return !front.settings.deniedPrivileges.some((denial) => {
    const at = denial.indexOf('@')
    if (at < 0) return denial === privilege
    return denial.slice(0, at) === privilege && names.has(denial.slice(at + 1))
  })
}

/** The object whose permissions count for a reference: a snapshot has those of its machine. */
export function holderOf(front: Front, id: string): Entity | null {
  return front.world.find(id) ?? front.world.findSnapshot(id)?.owner ?? null
}
