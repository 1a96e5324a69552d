// Sessions and the service instance: logging in and out, time, rights.

import { SimFault } from '../../machine/types.ts'
import { type Data, data, type Ref, refAt, refsAt, textAt, textsAt } from '../../soap/value.ts'
import { notAuthenticated, notFound } from '../faults.ts'
import { findObject } from '../find-object.ts'
import type { Call, Front, Handler } from '../front.ts'
import { serviceContent } from '../objects/singletons.ts'
import { holderOf, isGranted } from '../rights.ts'
import { type Session, userSession } from '../sessions.ts'

export const loginMethods: Readonly<Record<string, Handler>> = {
  RetrieveServiceContent: ({ front }) => serviceContent(front),
  CurrentTime: ({ front }) => new Date(front.clock.nowMs() + front.settings.clockOffsetMs),
  Login: (call) => logIn(call).value,
  Logout: ({ front, session }) => {
    if (session !== null) front.sessions.end(session)
    return null
  },
  TerminateSession: ({ front, args }) => {
    for (const key of textsAt(args, 'sessionId')) {
      const session = front.sessions.byKey(key)
      if (session === null) throw new SimFault('NotFound', `The session "${key}" was not found`)
      front.sessions.end(session)
    }
    return null
  },
  SessionIsActive: ({ front, args }) => {
    const session = front.sessions.byKey(textAt(args, 'sessionID'))
    return session !== null && session.userName === textAt(args, 'userName')
  },
  HasPrivilegeOnEntity: ({ front, args }) => {
    const granted = grantedTo(front, front.sessions.byKey(textAt(args, 'sessionId')) !== null)
    return textsAt(args, 'privId').map((id) => granted(id, refAt(args, 'entity')))
  },
  HasPrivilegeOnEntities: (call) => {
    const isLive = call.front.sessions.byKey(textAt(call.args, 'sessionId')) !== null
    return entityPrivileges(call, { entities: refsAt(call.args, 'entity'), isKnown: isLive })
  },
  HasUserPrivilegeOnEntities: (call) => {
    const isKnown = call.front.sessions.isUser(textAt(call.args, 'userName'))
    return entityPrivileges(call, { entities: refsAt(call.args, 'entities'), isKnown })
  },
}

/** The session that a Login of this call made; the answer carries its cookie. */
export type LoginResult = { readonly session: Session; readonly value: Data }

/** @throws SimFault InvalidLogin for wrong credentials, and when the caller is logged in already (SessionManager.Login) */
export function logIn(call: Call): LoginResult {
  const credentials = { userName: textAt(call.args, 'userName'), password: textAt(call.args, 'password') }
  const session =
    call.session === null
      ? call.front.sessions.login(credentials, { ipAddress: call.from.ipAddress, userAgent: call.from.userAgent })
      : null
  if (session === null) {
    throw new SimFault('InvalidLogin', 'Cannot complete login due to an incorrect user name or password.')
  }
  return { session, value: userSession(session) }
}

/** @throws SimFault NotAuthenticated, NoPermission */
export function requirePrivilege(
  call: Pick<Call, 'front' | 'session'>,
  options: { readonly privilege: string; readonly entity: Ref },
): void {
  if (options.privilege === 'System.Anonymous') return
  if (call.session === null) throw notAuthenticated(options.privilege)
  if (isGranted(call.front, options.privilege, holderOf(call.front, options.entity.id))) return
  throw new SimFault('NoPermission', 'Permission to perform this operation was denied.', {
    object: options.entity.id,
    referenceType: options.entity.type,
    privilegeId: options.privilege,
  })
}

/** A session or a user that is not known holds nothing. */
function grantedTo(front: Front, isKnown: boolean): (privilege: string, entity: Ref) => boolean {
  return (privilege, entity) => isKnown && isGranted(front, privilege, holderOf(front, entity.id))
}

function entityPrivileges(
  { front, args, session }: Call,
  { entities, isKnown }: { readonly entities: readonly Ref[]; readonly isKnown: boolean },
): readonly Data[] {
  const granted = grantedTo(front, isKnown)
  return entities.map((entity) => {
    if (findObject(front, entity, session) === null) throw notFound(entity)
    const privAvailability = textsAt(args, 'privId').map((privId) =>
      data('PrivilegeAvailability', { privId, isGranted: granted(privId, entity) }),
    )
    return data('EntityPrivilege', { entity, privAvailability })
  })
}
