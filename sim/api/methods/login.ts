// Sessions and the service instance: logging in and out, time, rights.

import { SimFault } from '../../machine/types.ts'
import { type Data, data, type Ref, refsAt, textAt, textsAt } from '../../soap/value.ts'
import { notAuthenticated, notFound } from '../faults.ts'
import { findObject } from '../find-object.ts'
import type { Call, Front, Handler } from '../front.ts'
import { privileges, serviceContent } from '../objects/singletons.ts'
import { type Session, userSession } from '../sessions.ts'

export const loginMethods: Readonly<Record<string, Handler>> = {
  RetrieveServiceContent: ({ front }) => serviceContent(front),
  CurrentTime: ({ front }) => new Date(front.clock.nowMs()),
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
  HasPrivilegeOnEntity: ({ front, args }) => textsAt(args, 'privId').map((id) => isGranted(front, id)),
  HasPrivilegeOnEntities: (call) => entityPrivileges(call, refsAt(call.args, 'entity')),
  HasUserPrivilegeOnEntities: (call) => entityPrivileges(call, refsAt(call.args, 'entities')),
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
  if (isGranted(call.front, options.privilege)) return
  throw new SimFault('NoPermission', 'Permission to perform this operation was denied.', {
    object: options.entity.id,
    referenceType: options.entity.type,
    privilegeId: options.privilege,
  })
}

function isGranted(front: Front, privilege: string): boolean {
  return privileges().includes(privilege) && !front.settings.deniedPrivileges.includes(privilege)
}

function entityPrivileges({ front, args, session }: Call, entities: readonly Ref[]): readonly Data[] {
  return entities.map((entity) => {
    if (findObject(front, entity, session) === null) throw notFound(entity)
    const privAvailability = textsAt(args, 'privId').map((privId) =>
      data('PrivilegeAvailability', { privId, isGranted: isGranted(front, privId) }),
    )
    return data('EntityPrivilege', { entity, privAvailability })
  })
}
