// Who calls the API: bearers of tokens that the test signs, as a JWT authorizer finds them, and principals of IAM, whose requests API
// Gateway checks before the function sees them.

import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Authorize } from './http-api.ts'
import { isObject } from './resolve.ts'

const KEY = 'a key of the test alone'
/** What stands for a request that was signed by a principal of the account. */
const IAM_PRINCIPAL = 'x-test-principal'

/** A token with these scopes. @param claims besides the subject */
export function tokenFor(subject: string, scopes: readonly string[]): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: subject, scope: scopes.join(' ') })}`
  return `${text}.${createHmac('sha256', KEY).update(text).digest('base64url')}`
}

export function authorizer(): Authorize {
  return (headers, kind) => {
    if (kind === 'AWS_IAM') {
      const principal = headers[IAM_PRINCIPAL]
      if (principal === undefined) return null
      return {
        event: { iam: { userArn: principal, accountId: principal.split(':')[4] ?? '', cognitoIdentity: null } },
        scopes: [],
      }
    }
    const [, token = ''] = /^Bearer (\S+)$/.exec(headers['authorization'] ?? '') ?? []
    const claims = claimsOf(token)
    if (claims === null) return null
    const scopes = String(claims['scope'] ?? '').split(' ')
    return { event: { jwt: { claims, scopes: null } }, scopes }
  }
}

function claimsOf(token: string) {
  const [head = '', body = '', signature = ''] = token.split('.')
  const expected = createHmac('sha256', KEY).update(`${head}.${body}`).digest()
  const given = Buffer.from(signature, 'base64url')
  if (given.byteLength !== expected.byteLength || !timingSafeEqual(given, expected)) return null
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
  return isObject(claims) ? claims : null
}
