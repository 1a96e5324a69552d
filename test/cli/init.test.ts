// coldframe init: a repository in a bucket with a key of KMS, what it says of the bucket, and what it refuses.

import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { InitReport } from '../../lib/compose/init-repository.ts'
import { dataOf, openHome } from '../flow/kit.ts'
import { TEST_ENVIRONMENT } from '../kit/aws/identity.ts'
import { openKms } from '../kit/aws/kms.ts'
import { startS3Server } from '../kit/s3-server.ts'
import { coldframe } from './coldframe.ts'

const secure = {
  Statement: [
    { Effect: 'Deny', Principal: '*', Action: 's3:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
  ],
}

async function world(options: { readonly objectLock?: boolean } = {}) {
  const server = await startS3Server()
  const kms = await openKms()
  const bucket = server.addBucket('backups', options)
  const home = await openHome(null)
  const environment = {
    ...TEST_ENVIRONMENT,
    ...server.environment,
    AWS_ENDPOINT_URL_KMS: kms.endpoint,
    COLDFRAME_REPOSITORY: 's3:backups/prod',
  }
  return {
    ...{ server, kms, bucket },
    run: (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
      home.run<InitReport>(args, { environment: { ...environment, ...more } }),
    [Symbol.asyncDispose]: async () => {
      await home[Symbol.asyncDispose]()
      await kms[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

describe('coldframe init', () => {
  it('creates a repository that opens by passphrase and by KMS, and adds a key to one that is there', async () => {
    await using at = await world({ objectLock: true })
    at.bucket.policy = JSON.stringify(secure)
    const plain = dataOf(await at.run(['init']))
    expect(plain).toMatchObject({ created: true, kmsKey: null, repository: 's3:backups/prod' })
    expect(plain.bucket?.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual([
      ...['versioning ok', 'object-lock ok', 'public-access ok', 'tls-only ok'],
    ])
    const arn = at.kms.createKey()
    const keyed = dataOf(await at.run(['init', '--kms-key', arn]))
    expect(keyed).toMatchObject({ created: false, kmsKey: { arn, state: 'added' }, repositoryId: plain.repositoryId })
    expect(dataOf(await at.run(['init', '--kms-key', arn])).kmsKey?.state).toBe('there')
    const keys = [...at.bucket.objects.keys()].filter((key) => key.startsWith('prod/keys/'))
    expect(keys.map((key) => key.slice(-7))).toEqual(['/1.json', '/2.json'])
    const second = at.bucket.objects.get(keys[1] ?? '')?.[0]?.bytes.toString() ?? ''
    expect([...second.matchAll(/"kind":"([a-z]+)"/g)].map((match) => match[1])).toEqual(['passphrase', 'kms'])
    const wrong = await at.run(['init'], { COLDFRAME_PASSPHRASE: 'another' })
    expect([wrong.exitCode, wrong.document?.error?.code]).toEqual([4, 'repository-key'])
  }, 60_000)

  it('twice at once makes one repository', async () => {
    await using at = await world()
    const ends = await Promise.all([at.run(['init']), at.run(['init'])])
    const [first, second] = ends.map(dataOf)
    expect(first?.repositoryId).toBe(second?.repositoryId)
    expect([...at.bucket.objects.keys()].filter((key) => key.startsWith('prod/repo/'))).toEqual(['prod/repo/1.json'])
  }, 30_000)

  it('leaves nothing behind when the key of KMS cannot be used, and takes no alias', async () => {
    await using at = await world()
    const arn = at.kms.createKey()
    at.kms.setState(arn, 'Disabled')
    const disabled = await at.run(['init', '--kms-key', arn])
    expect(disabled.document?.error?.code).toBe('kms-key-unusable')
    const alias = await at.run(['init', '--kms-key', 'arn:aws:kms:eu-central-1:111122223333:alias/backups'])
    expect([alias.exitCode, alias.document?.error?.code]).toEqual([2, 'malformed'])
    expect([...at.bucket.objects.keys()]).toEqual([])
  }, 30_000)

  it('says what it may not see, what is unfit, and refuses locks where there can be none', async () => {
    await using at = await world()
    at.bucket.publicAccessBlocked = false
    at.server.faults = ({ operation }) =>
      operation === 'GetBucketPolicy' ? { kind: 'error', status: 403, code: 'AccessDenied' } : null
    const locked = await at.run(['init'], { COLDFRAME_OBJECT_LOCK: 'compliance:30' })
    expect([locked.exitCode, locked.document?.error?.code]).toEqual([4, 'bucket-unfit'])
    const report = dataOf(await at.run(['init']))
    expect(report.bucket?.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual([
      ...['versioning warning', 'object-lock warning', 'public-access warning', 'tls-only unseen'],
    ])
    expect(report.bucket?.at(-1)?.found).toContain('s3:GetBucketPolicy')
  }, 30_000)

  it('refuses a store that puts objects over objects', async () => {
    await using at = await world()
    // Such a store takes the condition and pays no heed to it: as if nothing had been there.
    at.server.faults = ({ operation, key }) => {
      if (operation === 'PutObject') at.bucket.objects.delete(key)
      return null
    }
    const refused = await at.run(['init'])
    expect([refused.exitCode, refused.document?.error?.code]).toEqual([4, 's3-not-supported'])
    expect([...at.bucket.objects.keys()].filter((key) => !key.startsWith('prod/s/'))).toEqual([])
  }, 30_000)

  it('speaks to people, of a folder, too', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'coldframe-init-'))
    const environment = { COLDFRAME_REPOSITORY: 'file:backups', COLDFRAME_PASSPHRASE: 'a passphrase for tests only' }
    const first = await coldframe(['init'], { folder: folder.path, environment })
    expect(first.stdout).toMatch(/^Created repository [0-9a-f]{32} at file:.*\/backups\nIt opens by the passphrase/)
    const again = await coldframe(['init'], { folder: folder.path, environment })
    expect([again.exitCode, again.stdout.slice(0, 11)]).toEqual([0, 'Repository '])
  }, 30_000)
})
