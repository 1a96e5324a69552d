// What IAM says to a request, by the rules of "Policy evaluation logic" (IAM user guide), for the parts of the language that this
// project's policies use. What it does not know is an error, never an answer.

export type Statement = {
  readonly Effect: 'Allow' | 'Deny'
  readonly Principal?: unknown
  readonly Action: string | readonly string[]
  readonly Resource: string | readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

export type Request = {
  readonly action: string
  readonly resource: string
  /** ARN of the role whose session asks. */
  readonly principal: string
  /** Keys of the request: "s3:if-none-match" and so on. A key that is left out is absent. */
  readonly context?: Readonly<Record<string, string | readonly string[]>>
}

export type Answer = 'allowed' | 'denied' | 'not allowed'

/**
 * @param policies.identity statements of the role
 * @param policies.resource statements of the resource's own policy; null: it has none
 * @param policies.resourceMustAllow whether the resource's policy must let the account in as well: keys of KMS, and whatever lies in
 * another account
 */
export function ask(
  request: Request,
  policies: {
    readonly identity: readonly Statement[]
    readonly resource?: readonly Statement[] | null
    readonly resourceMustAllow?: boolean
  },
): Answer {
  const { identity, resource = null, resourceMustAllow = false } = policies
  const own = identity.filter((statement) => fits(statement, request))
  const others = (resource ?? []).filter(
    (statement) => fits(statement, request) && isMeant(statement.Principal, request.principal),
  )
  if ([...own, ...others].some(({ Effect }) => Effect === 'Deny')) return 'denied'
  const byRole = own.length > 0
  // An account named as principal delegates to its own policies; a role named as principal is let in by that alone.
  const byName = others.some(({ Principal }) => namesRole(Principal, request.principal))
  const byAccount = others.length > 0
  if (resourceMustAllow) return byAccount && (byRole || byName) ? 'allowed' : 'not allowed'
  return byRole || byName ? 'allowed' : 'not allowed'
}

function fits({ Action, Resource, Condition = {}, ...rest }: Statement, request: Request): boolean {
  for (const key of Object.keys(rest)) {
    if (!['Effect', 'Principal', 'Sid'].includes(key)) throw new Error(`A policy has "${key}", which is not known here`)
  }
  if (!listOf(Action).some((pattern) => matches(pattern.toLowerCase(), request.action.toLowerCase()))) return false
  if (!listOf(Resource).some((pattern) => matches(pattern, request.resource))) return false
  return Object.entries(Condition).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wanted]) => holds(operator, { key, wanted: textsOf(wanted), request })),
  )
}

function isMeant(principal: unknown, caller: string): boolean {
  if (principal === '*') return true
  if (typeof principal !== 'object' || principal === null)
    throw new Error(`A policy has the principal "${String(principal)}"`)
  const names = 'AWS' in principal ? textsOf(principal.AWS) : []
  const account = caller.split(':')[4] ?? ''
  return names.some((name) => name === '*' || name === caller || name === account || name.endsWith(`::${account}:root`))
}

function namesRole(principal: unknown, caller: string): boolean {
  if (principal === '*') return true
  return (
    typeof principal === 'object' && principal !== null && 'AWS' in principal && textsOf(principal.AWS).includes(caller)
  )
}

type Asked = { readonly key: string; readonly wanted: readonly string[]; readonly request: Request }

function holds(operatorText: string, { key, wanted, request }: Asked): boolean {
  const [, set, name = '', ifExists] =
    /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/.exec(operatorText) ?? []
  const values = valuesOf(key, request)
  if (name === 'Null') return wanted.some((text) => (text === 'true') === (values === undefined))
  const compare = comparisons[name]
  if (compare === undefined) throw new Error(`A policy has the condition "${operatorText}", which is not known here`)
  const { isNegated, test } = compare
  if (values === undefined || values.length === 0) {
    // Absent keys: ForAllValues holds, a negated operator holds, any other does not.
    if (set === 'ForAllValues' || ifExists !== undefined) return true
    return set === 'ForAnyValue' ? false : isNegated
  }
  const one = (value: string) =>
    isNegated ? !wanted.some((text) => test(value, text)) : wanted.some((text) => test(value, text))
  return set === 'ForAnyValue' ? values.some(one) : values.every(one)
}

function valuesOf(key: string, { context = {}, principal }: Request): readonly string[] | undefined {
  const found = Object.entries(context).find(([name]) => name.toLowerCase() === key.toLowerCase())?.[1]
  if (found !== undefined) return textsOf(found)
  if (key === 'aws:PrincipalArn') return [principal]
  if (key === 'aws:PrincipalAccount') return [principal.split(':')[4] ?? '']
  return key === 'aws:SecureTransport' ? ['true'] : undefined
}

type Comparison = { readonly isNegated: boolean; readonly test: (value: string, wanted: string) => boolean }

const equal = (value: string, wanted: string) => value === wanted
const like = (value: string, wanted: string) => matches(wanted, value)
const number = (test: (a: number, b: number) => boolean) => (value: string, wanted: string) =>
  test(Number(value), Number(wanted))
const plain = (test: Comparison['test']): Comparison => ({ isNegated: false, test })
const negated = (test: Comparison['test']): Comparison => ({ isNegated: true, test })

const comparisons: Readonly<Record<string, Comparison>> = {
  StringEquals: plain(equal),
  StringNotEquals: negated(equal),
  StringLike: plain(like),
  StringNotLike: negated(like),
  ArnEquals: plain(likeArn),
  ArnLike: plain(likeArn),
  ArnNotEquals: negated(likeArn),
  ArnNotLike: negated(likeArn),
  Bool: plain((value, wanted) => value.toLowerCase() === wanted.toLowerCase()),
  NumericLessThan: plain(number((a, b) => a < b)),
  NumericGreaterThan: plain(number((a, b) => a > b)),
}

/** Each of the six parts by itself: a wildcard does not cross a colon of the first five. */
function likeArn(value: string, wanted: string): boolean {
  const [left, right] = [value, wanted].map((arn) =>
    /^([^:]*):([^:]*):([^:]*):([^:]*):([^:]*):(.*)$/s.exec(arn)?.slice(1),
  )
  return left !== undefined && right !== undefined && left.every((part, index) => matches(right[index] ?? '', part))
}

function matches(pattern: string, text: string): boolean {
  if (/\$\{/.test(pattern)) throw new Error(`A policy has a variable in "${pattern}", which is not known here`)
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 's').test(text)
}

function listOf(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value
}

function textsOf(value: unknown): readonly string[] {
  return (Array.isArray(value) ? value : [value]).map(String)
}
