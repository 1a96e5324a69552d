// Finding a managed object by its reference, for the caller's session.

import type { Ref } from '../soap/value.ts'
import type { Front } from './front.ts'
import type { ManagedObject } from './managed-object.ts'
import { entityObject } from './objects/entity.ts'
import { singletonObject } from './objects/singletons.ts'
import { snapshotObject } from './objects/snapshots.ts'
import type { Session } from './sessions.ts'

/** Null when there is no such object, or not of that type, for this session. */
export function findObject(front: Front, object: Ref, session: Session | null): ManagedObject | null {
  const found = lookUp(front, object, session)
  return found !== null && found.ref.type === object.type ? found : null
}

function lookUp(front: Front, object: Ref, session: Session | null): ManagedObject | null {
  const entity = front.world.find(object.id)
  if (entity !== null) return entityObject(front, entity)
  const other =
    front.tasks.find(object.id) ?? session?.objects.get(object.id) ?? singletonObject(front, { id: object.id, session })
  if (other !== null) return other
  const found = front.world.findSnapshot(object.id)
  return found === null ? null : snapshotObject(front, found)
}
