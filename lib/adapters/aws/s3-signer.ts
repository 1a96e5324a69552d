// AWS Signature Version 4, in the header (AWS General Reference, "Create a signed AWS API request"). With S3 bodies are not part
// of the signature: their checksum is a signed header instead.

import { createHash, createHmac } from 'node:crypto'

export type S3Credentials = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export type Unsigned = {
  readonly method: string
  /** "/bucket/key" or "/key", not encoded. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Lower-case names; "host" among them. */
  readonly headers: Readonly<Record<string, string>>
  /** SHA-256 of the body in hex; left out: the body is not signed, which S3 alone takes. */
  readonly bodyHash?: string
}

export type Signed = {
  /** Path and query, encoded. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
}

const PAYLOAD = 'UNSIGNED-PAYLOAD'

/** The key of a day is made once a day: four of the six hashes of a signature. */
export type S3Signer = (
  request: Unsigned,
  at: { readonly credentials: S3Credentials; readonly nowMs: number },
) => Signed

/** @param of.service S3 by default; others must have no path that needs encoding, they encode it twice */
export function s3Signer({
  region,
  service = 's3',
}: {
  readonly region: string
  readonly service?: 's3' | 'execute-api'
}): S3Signer {
  let cached: { readonly name: string; readonly key: Buffer } = { name: '', key: Buffer.alloc(0) }
  const keyOf = (day: string, secret: string) => {
    const name = `${day} ${secret}`
    if (cached.name !== name) {
      const key = [day, region, service, 'aws4_request'].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`))
      cached = { name, key }
    }
    return cached.key
  }
  return ({ method, path, query, headers, bodyHash = PAYLOAD }, { credentials, nowMs }) => {
    const time = new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
    const day = time.slice(0, 8)
    const { accessKeyId, secretAccessKey, sessionToken } = credentials
    const all: Record<string, string> = { ...headers, 'x-amz-content-sha256': bodyHash, 'x-amz-date': time }
    if (sessionToken !== undefined) all['x-amz-security-token'] = sessionToken
    const names = Object.keys(all).toSorted()
    const encodedPath = path.split('/').map(encodeUri).join('/')
    const encodedQuery = Object.entries(query)
      .map(([name, value]) => `${encodeUri(name)}=${encodeUri(value)}`)
      .toSorted()
      .join('&')
    const lines = names.map((name) => `${name}:${(all[name] ?? '').trim().replaceAll(/ +/g, ' ')}\n`).join('')
    const signed = names.join(';')
    const canonical = `${method}\n${encodedPath}\n${encodedQuery}\n${lines}\n${signed}\n${bodyHash}`
    const scope = `${day}/${region}/${service}/aws4_request`
    const hash = createHash('sha256').update(canonical).digest('hex')
    const signature = hmac(keyOf(day, secretAccessKey), `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash}`).toString('hex')
    const credential = `Credential=${accessKeyId}/${scope}`
    const authorization = `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${signed}, Signature=${signature}`
    const target = encodedQuery === '' ? encodedPath : `${encodedPath}?${encodedQuery}`
    return { target, headers: { ...all, authorization } }
  }
}

/** RFC 3986: all but unreserved characters. */
function encodeUri(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
