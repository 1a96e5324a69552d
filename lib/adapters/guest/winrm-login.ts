// Logging in to WinRM over HTTP (RFC 4559 and MS-NTHT for NTLM, RFC 7617 for Basic): by NTLM where the server takes it, by
// Basic only where nothing better is offered. A password that NTLM saw refused is never sent in the clear afterwards.

import { systemClock } from '../../base/clock.ts'
import { BackupError, hasCode } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { GuestCredentials } from '../../ports/guest.ts'
import { channelBindingOf, encodeAuthenticate, encodeNegotiate, type NtlmAccount } from './ntlm.ts'
import { type HttpReply, unreachableAt, type WinrmLine } from './winrm-line.ts'

export type LoginMethod = 'Negotiate' | 'NTLM' | 'Basic'

export type Login = { readonly account: NtlmAccount; readonly place: string }

/** Raw NTLM tokens are taken under both names. */
const METHODS: readonly LoginMethod[] = ['Negotiate', 'NTLM', 'Basic']
export const SOAP_HEADERS = { 'Content-Type': 'application/soap+xml;charset=UTF-8' }

/** "DOMAIN\user" is taken apart where no domain is given; "user@domain" goes as it is. @throws BackupError `guest-credentials-unfit` */
export function accountOf({ user, password, domain }: GuestCredentials): NtlmAccount {
  if (user === '' || password === null || password === '')
    throw unfit(`the account "${user}" has no ${user === '' ? 'name' : 'password'}, which WinRM needs`)
  const [before = '', after] = user.split('\\')
  if (domain !== null || after === undefined) return { user, domain: domain ?? '', password }
  return { user: after, domain: before === '.' ? '' : before, password }
}

export function nameOf({ user, domain }: NtlmAccount): string {
  return domain === '' ? user : `${domain}\\${user}`
}

/** Asks without credentials what the server takes. @throws BackupError `guest-unreachable`, `guest-credentials-unfit` */
export async function chooseMethod(
  line: WinrmLine,
  { account, place, limitMs }: Login & { readonly limitMs: number },
  cancel: Cancel,
): Promise<LoginMethod> {
  const { status, challenges } = await line.exchange({ headers: SOAP_HEADERS, body: '', limitMs }, cancel)
  if (status !== 401)
    throw unreachableAt(place, `what listens there answered ${status} and asked for no login, so it is no WinRM`)
  const offered = challenges.flatMap((each) => each.split(',')).map((each) => each.trim().split(/\s/)[0]?.toLowerCase())
  const method = METHODS.find((each) => offered.includes(each.toLowerCase()))
  if (method === undefined)
    throw unfit(
      `WinRM at "${place}" offers only "${challenges.join(', ')}", which is neither Negotiate, NTLM nor Basic`,
    )
  if (method === 'Basic' && account.domain !== '')
    throw unfit(
      `WinRM at "${place}" offers only Basic, which takes accounts of the machine and not "${nameOf(account)}"`,
    )
  if (method === 'Basic' && account.user.includes(':'))
    throw unfit(`WinRM at "${place}" offers only Basic, which takes no user with a colon: "${account.user}"`)
  return method
}

/**
 * Sends a request that also logs in. By NTLM the connection is known afterwards, and later requests on it need nothing.
 * @throws BackupError `guest-login-refused`, `guest-unreachable`
 */
export async function exchangeWithLogin(
  line: WinrmLine,
  call: Login & { readonly method: LoginMethod; readonly body: string; readonly limitMs: number },
  cancel: Cancel,
): Promise<HttpReply> {
  const { method, account, place, body, limitMs } = call
  const send = (authorization: string, content: string) =>
    line.exchange(
      { headers: { ...SOAP_HEADERS, Authorization: `${method} ${authorization}` }, body: content, limitMs },
      cancel,
    )
  if (method === 'Basic') {
    const reply = await send(basicToken(account), body)
    if (reply.status === 401) throw loginRefused(call)
    return reply
  }
  const negotiate = encodeNegotiate()
  const first = await send(Buffer.from(negotiate).toString('base64'), '')
  const challenge = tokenIn(first, method)
  if (first.status !== 401 || challenge === null)
    throw unreachableAt(place, `it offered ${method} and answered ${first.status} without a challenge of NTLM`)
  const reply = await send(Buffer.from(answerTo(challenge, { negotiate, line, call })).toString('base64'), body)
  if (reply.status === 401) throw loginRefused(call)
  return reply
}

function answerTo(
  challenge: Uint8Array,
  { negotiate, line, call }: { readonly negotiate: Uint8Array; readonly line: WinrmLine; readonly call: Login },
): Uint8Array {
  const { channelBinding } = line
  try {
    return encodeAuthenticate({
      account: call.account,
      negotiate,
      challenge,
      channelBinding: channelBinding === null ? null : channelBindingOf(channelBinding),
      clientChallenge: systemRandom.bytes(8),
      nowMs: systemClock.nowMs(),
    })
  } catch (error) {
    if (!hasCode(error, 'malformed')) throw error
    throw unreachableAt(call.place, 'its challenge of NTLM cannot be read', error)
  }
}

function tokenIn({ challenges }: HttpReply, method: LoginMethod): Uint8Array | null {
  const found = challenges
    .flatMap((each) => each.split(','))
    .map((each) => /^\s*(\S+)\s+([A-Za-z0-9+/]+=*)\s*$/.exec(each))
    .find((match) => match?.[1]?.toLowerCase() === method.toLowerCase())
  return found?.[2] === undefined ? null : Buffer.from(found[2], 'base64')
}

export function basicToken({ user, password }: NtlmAccount): string {
  return Buffer.from(`${user}:${password}`, 'utf8').toString('base64')
}

/** Windows does not tell apart what is wrong, over the network. */
export function loginRefused({ account, place, method }: Login & { readonly method: LoginMethod }): BackupError {
  return new BackupError(
    `Cannot log in to WinRM at "${place}" as "${nameOf(account)}": the guest refused the account or its password (${method})`,
    {
      code: 'guest-login-refused',
      kind: 'refused',
      hint: 'Check user, domain and password, that the password has not expired and that the account is neither locked nor denied access from the network; the Security log of the guest (event 4625) names the reason',
      facts: { place, user: nameOf(account), method },
    },
  )
}

function unfit(reason: string): BackupError {
  return new BackupError(`Cannot log in to WinRM: ${reason}`, {
    code: 'guest-credentials-unfit',
    kind: 'refused',
    hint: 'Give user and password of an account that may use WinRM, and a domain for an account of a domain',
  })
}
