// Which engine commands talk to: this machine's, or a stack's on AWS through its HTTP API, and how they say who they are.

import { BackupError, quote } from '../../base/errors.ts'

export type EngineChoice =
  | { readonly kind: 'local' }
  | {
      readonly kind: 'aws'
      readonly stack: string
      /** "https://host", no path. */
      readonly url: string
      readonly proof:
        | { readonly kind: 'token'; readonly from: 'COLDFRAME_API_TOKEN' | 'COLDFRAME_API_TOKEN_FILE' }
        | { readonly kind: 'iam'; readonly region: string }
    }

type Environment = Readonly<Record<string, string | undefined>>

/** @throws BackupError `settings-faulty` (usage); facts.faults holds one line a fault, never a secret */
export function parseEngineChoice(environment: Environment): EngineChoice {
  const given = (name: string): string | null => environment[name]?.trim() || null
  const engine = given('COLDFRAME_ENGINE') ?? 'local'
  if (engine === 'local') return { kind: 'local' }
  const faults: string[] = []
  const stack = /^aws:([A-Za-z][A-Za-z0-9-]{0,127})$/.exec(engine)?.[1]
  if (stack === undefined) faults.push(`COLDFRAME_ENGINE is ${quote(engine)}: must be "local" or "aws:STACK"`)
  const url = urlOf(given('COLDFRAME_API_URL'), faults)
  const proof = proofOf(given, { url, faults })
  if (faults.length === 0 && stack !== undefined && url !== null && proof !== null)
    return { kind: 'aws', stack, url: url.origin, proof }
  throw new BackupError(
    `Cannot start: ${faults.length === 1 ? '1 setting is' : `${faults.length} settings are`} wrong`,
    {
      code: 'settings-faulty',
      kind: 'usage',
      hint: 'The stack tells the URL of its API; docs/API.md tells how to say who you are',
      facts: { faults },
    },
  )
}

function urlOf(text: string | null, faults: string[]): URL | null {
  if (text === null) {
    faults.push('COLDFRAME_API_URL is not set: where the HTTP API of the stack is (https://host)')
    return null
  }
  const url = URL.parse(text)
  const isPlain = url !== null && url.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
  // A token or a signature in clear would be anybody's.
  const isSafe =
    url?.protocol === 'https:' || (url?.protocol === 'http:' && /^(127\.0\.0\.1|localhost|\[::1\])$/.test(url.hostname))
  if (url !== null && isPlain && isSafe) return url
  faults.push(`COLDFRAME_API_URL is ${quote(text)}: must be https://host`)
  return null
}

type AwsEngine = Extract<EngineChoice, { kind: 'aws' }>

function proofOf(
  given: (name: string) => string | null,
  { url, faults }: { readonly url: URL | null; readonly faults: string[] },
): AwsEngine['proof'] | null {
  const [token, file] = [given('COLDFRAME_API_TOKEN'), given('COLDFRAME_API_TOKEN_FILE')]
  if (token !== null && file !== null) {
    faults.push('COLDFRAME_API_TOKEN and COLDFRAME_API_TOKEN_FILE are both set: give one')
    return null
  }
  if (token !== null) return { kind: 'token', from: 'COLDFRAME_API_TOKEN' }
  if (file !== null) return { kind: 'token', from: 'COLDFRAME_API_TOKEN_FILE' }
  const inHost = /\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$/.exec(url?.hostname ?? '')?.[1]
  const region = inHost ?? given('AWS_REGION') ?? given('AWS_DEFAULT_REGION')
  if (region !== null) return { kind: 'iam', region }
  faults.push(
    'Neither COLDFRAME_API_TOKEN(_FILE) nor AWS_REGION is set: requests can be neither sent with a token nor signed',
  )
  return null
}
