// A repository in a bucket, from outside: a disk of 64 MiB and small ones through engine, mover and threads into the strict S3
// server, restored and verified from another home that has the bucket and the passphrase only.

import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type S3Server, startS3Server } from '../kit/s3-server.ts'
import { slowDown } from '../kit/s3-server-calls.ts'
import {
  backUp,
  damagedPoints,
  differencesOf,
  type Ended,
  type Environment,
  type Home,
  openHome,
  openSim,
  pointsOf,
  snapshotsIn,
} from './kit.ts'

const MiB = 1024 * 1024

/** The home's commands with the repository in this bucket. */
function inBucket(home: Home, server: S3Server, more: Environment = {}): Home {
  const environment = { COLDFRAME_REPOSITORY: 's3:backups/prod', ...server.environment, ...more }
  return {
    ...home,
    run: <Data>(args: readonly string[], options: Parameters<Home['run']>[1] = {}): Promise<Ended<Data>> =>
      home.run<Data>(args, { ...options, environment: { ...environment, ...options.environment } }),
    start: (args, options = {}) =>
      home.start(args, { ...options, environment: { ...environment, ...options.environment } }),
  }
}

describe('a repository in a bucket', () => {
  it('takes full and incremental backups of disks and gives back every byte, through a storm of refusals', async () => {
    await using server = await startS3Server({ pageKeysMax: 7 })
    server.addBucket('backups', { objectLock: true })
    await using sim = await openSim('--estate', 'small', '--guest-write-every-ms', '20')
    await using home = await openHome(sim)
    const bucket = inBucket(home, server, { COLDFRAME_OBJECT_LOCK: 'governance:2' })

    const first = await backUp(bucket, ['app-01'])
    expect(first.jobs.map(({ outcome }) => outcome?.kind)).toEqual(['success'])
    await sim.write(300_000)
    // Of seven requests, one is told to slow down, one's answer is lost after it took effect.
    server.faults = ({ number }) => {
      if (number % 7 === 0) return slowDown
      return number % 7 === 3 ? { kind: 'cut-answer' } : null
    }
    const second = await backUp(bucket, ['app-01'])
    expect(second.jobs.map(({ outcome }) => outcome?.kind)).toEqual(['success'])
    expect(await snapshotsIn(sim)).toEqual([])

    await using other = await openHome(null)
    const reader = inBucket(other, server)
    const points = await pointsOf(reader)
    expect(points.map(({ vm, sequence }) => `${vm}@${sequence}`).toSorted()).toEqual(['app-01@1', 'app-01@2'])
    const last = points.find(({ sequence }) => sequence === 2)
    expect(last === undefined ? 'no point' : await differencesOf(reader, last, sim)).toEqual([])
    server.faults = () => null
    expect(await damagedPoints(reader)).toEqual([])
    // Every object was put once, below the prefix, and is locked but for the working papers.
    for (const [key, versions] of server.buckets.get('backups')?.objects ?? []) {
      expect(key.startsWith('prod/')).toBe(true)
      expect(versions).toHaveLength(1)
      expect(versions[0]?.retention === null, key).toBe(key.startsWith('prod/s/'))
    }
    const deletes = server.calls.filter(({ method }) => method === 'DELETE')
    expect(deletes).toEqual([])
  }, 90_000)

  it('moves a disk of 64 MiB by threads that each have connections and credentials of their own', async () => {
    await using server = await startS3Server()
    server.addBucket('backups')
    await using folder = await mkdtempDisposable(join(tmpdir(), 'coldframe-s3-'))
    const estate = join(folder.path, 'estate.json')
    const disk = { capacityBytes: 65 * MiB, fill: 'random' }
    await writeFile(estate, JSON.stringify({ seed: 5, machines: [{ name: 'big-01', disks: [disk] }] }))
    await using sim = await openSim('--estate', estate)
    await using home = await openHome(sim)
    const bucket = inBucket(home, server)
    await backUp(bucket, ['big-01'])
    const [point] = await pointsOf(bucket)
    if (point === undefined) throw new Error('no point')
    expect(point.disks[0]?.capacityBytes).toBe(65 * MiB)
    expect(await differencesOf(bucket, point, sim)).toEqual([])
    const puts = server.calls.filter(({ operation, key }) => operation === 'PutObject' && key.startsWith('prod/p/'))
    expect(puts.length).toBeGreaterThan(1)
  }, 60_000)

  it('that refuses or is not there stops a backup before anything is done in vCenter', async () => {
    await using server = await startS3Server()
    server.addBucket('backups')
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    const cases = [
      [{ COLDFRAME_REPOSITORY: 's3:nowhere' }, 's3-bucket-missing', 3],
      [{ AWS_SECRET_ACCESS_KEY: 'wrong' }, 'object-refused', 4],
      [{ AWS_REGION: 'us-east-1' }, 's3-region', 2],
    ] as const
    for (const [environment, code, exitCode] of cases) {
      const ended = await inBucket(home, server, environment).run(['backup', '--vm', 'app-01'])
      expect(ended.document?.error?.code, JSON.stringify(ended.document)).toBe(code)
      expect(ended.exitCode).toBe(exitCode)
    }
    expect(await snapshotsIn(sim)).toEqual([])
  }, 60_000)

  it('takes the credentials of a container, new ones when they end, and scripts without a passphrase', async () => {
    const [old, fresh] = ['1', '2'].map((text) => ({
      accessKeyId: `AKIDCONTAINER${text}`,
      secretAccessKey: `secret ${text}`,
      sessionToken: `token ${text}`,
    }))
    if (old === undefined || fresh === undefined) throw new Error('there are two')
    await using server = await startS3Server({ credentials: [old, fresh] })
    server.addBucket('backups')
    let given = 0
    const endpoint = createServer((_request, response) => {
      given++
      // The first ones have ended already, as far as S3 is concerned.
      const { accessKeyId, secretAccessKey, sessionToken } = given === 1 ? old : fresh
      const Expiration = new Date(Date.now() + 3_600_000)
      const keys = { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: sessionToken, Expiration }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(keys))
    })
    await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve))
    const address = endpoint.address()
    const port = typeof address === 'object' ? address?.port : 0
    server.faults = ({ headers }) =>
      headers['x-amz-security-token'] === fresh.sessionToken
        ? null
        : { kind: 'error', status: 400, code: 'ExpiredToken' }
    await using home = await openHome(null)
    const bundle = join(home.folder, 'freeze.sh')
    await writeFile(bundle, '#!/bin/sh\n')
    const bucket = inBucket(home, server, {
      AWS_ACCESS_KEY_ID: undefined,
      AWS_SECRET_ACCESS_KEY: undefined,
      AWS_SESSION_TOKEN: undefined,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/role`,
      COLDFRAME_PASSPHRASE: undefined,
    })
    const stored = await bucket.run(['script', bundle])
    expect(stored.document, stored.stdout).toMatchObject({ ok: true, data: { key: 'scripts/freeze.sh', stored: true } })
    expect(given).toBe(2)
    const none = await bucket.run(['script', bundle], {
      environment: { AWS_CONTAINER_CREDENTIALS_FULL_URI: undefined },
    })
    expect([none.exitCode, none.document?.error?.code]).toEqual([4, 'aws-credentials'])
    endpoint.closeAllConnections()
    endpoint.close()
  }, 30_000)
})
