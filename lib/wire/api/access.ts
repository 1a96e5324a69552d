// Who may do what: scopes of a token, or of an AWS principal by configuration. What is not said is refused.

import { BackupError, quote } from '../../base/errors.ts'
import type { CallerProof } from './http.ts'
import { SCOPES, type Scope } from './routes.ts'

export type ApiAccess =
  /** Scopes are those of the token that begin so, without it. */
  | { readonly kind: 'jwt'; readonly scopePrefix: string }
  | { readonly kind: 'iam'; readonly grants: readonly Grant[] }
  /** Nobody may do anything. */
  | { readonly kind: 'none' }

/** A principal's ARN, or the beginning of one before a '*'. */
type Grant = { readonly arn: string; readonly scopes: readonly Scope[] }

export type Caller = { readonly name: string; readonly scopes: ReadonlySet<Scope> }

type Environment = Readonly<Record<string, string | undefined>>

/**
 * COLDFRAME_API_AUTH: "jwt" (with COLDFRAME_API_SCOPE_PREFIX, default "coldframe/") or "iam" (with COLDFRAME_API_GRANTS, for example
 * "read+backup=arn:aws:sts::111122223333:assumed-role/ops/*", several between commas).
 * @throws BackupError `settings-faulty` (usage)
 */
export function parseApiAccess(environment: Environment): ApiAccess {
  const kind = environment['COLDFRAME_API_AUTH'] ?? ''
  if (kind === '') return { kind: 'none' }
  if (kind === 'jwt') return { kind, scopePrefix: environment['COLDFRAME_API_SCOPE_PREFIX'] ?? 'coldframe/' }
  const faults: string[] = []
  if (kind !== 'iam') faults.push(`COLDFRAME_API_AUTH is ${quote(kind)}: must be "jwt" or "iam"`)
  const grants = grantsOf(environment['COLDFRAME_API_GRANTS'] ?? '', faults)
  if (faults.length === 0) return { kind: 'iam', grants }
  throw new BackupError(`Cannot start: ${faults.length} settings of the API are wrong`, {
    code: 'settings-faulty',
    kind: 'usage',
    hint: 'Mend the parameters of the stack and deploy it again',
    facts: { faults },
  })
}

function grantsOf(text: string, faults: string[]): readonly Grant[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
    .flatMap((word) => {
      const [, names = '', arn = ''] = /^([a-z+]+)=(arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:[^*]+\*?)$/.exec(word) ?? []
      const scopes = names.split('+').flatMap((name) => SCOPES.filter((scope) => scope === name))
      if (arn !== '' && scopes.length === names.split('+').length) return [{ arn, scopes }]
      faults.push(`COLDFRAME_API_GRANTS has ${quote(word)}: must be SCOPE[+SCOPE]=ARN, a "*" only at its end`)
      return []
    })
}

/** @throws BackupError `access-not-configured` (refused), `not-authenticated` (refused) */
export function callerOf(proof: CallerProof | null, access: ApiAccess): Caller {
  if (access.kind === 'none')
    throw new BackupError('Cannot let anybody in: who may use this API is not configured', {
      code: 'access-not-configured',
      kind: 'refused',
      hint: 'Whoever runs the stack chooses a JWT issuer or IAM, see docs/API.md',
    })
  if (proof === null || proof.kind !== access.kind)
    throw new BackupError('Cannot tell who calls: the request carries no proof that this API accepts', {
      code: 'not-authenticated',
      kind: 'refused',
      hint: access.kind === 'jwt' ? 'Send a token of the configured issuer' : 'Sign the request for execute-api',
    })
  if (proof.kind === 'iam')
    return { name: proof.userArn, scopes: access.kind === 'iam' ? granted(proof.userArn, access.grants) : new Set() }
  return { name: subjectOf(proof.claims), scopes: scopesOf(proof.claims, access) }
}

/** @throws BackupError `scope-missing` (refused) */
export function requireScope({ name, scopes }: Caller, scope: Scope): void {
  if (scopes.has(scope)) return
  throw new BackupError(`Cannot do this for ${quote(name)}: it needs the scope "${scope}"`, {
    code: 'scope-missing',
    kind: 'refused',
    hint: 'Whoever gives out tokens, or runs the stack, can add it',
    facts: { scope },
  })
}

function granted(userArn: string, grants: readonly Grant[]): ReadonlySet<Scope> {
  const matches = ({ arn }: Grant) => (arn.endsWith('*') ? userArn.startsWith(arn.slice(0, -1)) : userArn === arn)
  return new Set(grants.filter(matches).flatMap(({ scopes }) => scopes))
}

function scopesOf(claims: Readonly<Record<string, unknown>>, access: ApiAccess): ReadonlySet<Scope> {
  if (access.kind !== 'jwt') return new Set()
  // "scope" is RFC 8693's, words between spaces; some issuers say "scp", which the gateway writes as "[a b]".
  const words = [claims['scope'], claims['scp']].flatMap((claim) => String(claim ?? '').split(/[\s,[\]]+/))
  return new Set(SCOPES.filter((scope) => words.includes(`${access.scopePrefix}${scope}`)))
}

function subjectOf(claims: Readonly<Record<string, unknown>>): string {
  const named = [claims['sub'], claims['client_id'], claims['azp']].find((claim) => typeof claim === 'string')
  const issuer = typeof claims['iss'] === 'string' ? ` of ${claims['iss']}` : ''
  return `${String(named ?? 'somebody')}${issuer}`.slice(0, 300)
}
