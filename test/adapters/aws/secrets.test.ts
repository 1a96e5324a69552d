import { describe, expect, it } from 'vitest'
import { awsSecrets } from '../../../lib/adapters/aws/secrets.ts'
import { secretsContract } from '../../contract/secrets.ts'
import { impatience } from '../../kit/aws/patience.ts'
import { openSecrets } from '../../kit/aws/secrets.ts'

const cancel = { signal: new AbortController().signal }

secretsContract('Secrets Manager', async () => {
  const server = await openSecrets()
  server.put('coldframe/guest/known', { text: 'the value' })
  return {
    secrets: awsSecrets({ prefix: 'coldframe/guest/' }, impatience(server).settings),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
})

describe('secrets of Secrets Manager', () => {
  it('are found by ARN, too', async () => {
    await using server = await openSecrets()
    const arn = server.put('vcenter', { text: '{"user":"u"}' })
    expect(await awsSecrets({ prefix: '' }, impatience(server).settings).read(arn, cancel)).toBe('{"user":"u"}')
  })

  it('that may not be read are not missing', async () => {
    await using server = await openSecrets()
    const secrets = awsSecrets({ prefix: '' }, impatience(server).settings)
    server.strike(() => ({ kind: 'error', code: 'AccessDeniedException', message: 'not authorized' }))
    await expect(secrets.read('db', cancel)).rejects.toMatchObject({ code: 'aws-refused', kind: 'refused' })
  })

  it('that hold bytes, nothing, or are being deleted say so', async () => {
    await using server = await openSecrets()
    const secrets = awsSecrets({ prefix: 'p/' }, impatience(server).settings)
    server.put('p/bytes', { bytes: new Uint8Array([115, 51, 99, 114, 51, 116]) })
    server.put('p/empty', { text: '' })
    server.put('p/gone', 'deleted')
    for (const [name, words] of [
      ['bytes', 'it holds bytes'],
      ['empty', 'it is empty'],
      ['gone', 'marked for deletion'],
    ] as const) {
      const error: Error = await secrets.read(name, cancel).then(
        () => new Error('no error'),
        (caught: Error) => caught,
      )
      expect(error).toMatchObject({ code: 'secret-unusable', facts: { name } })
      expect(error.message).toContain(words)
      expect(JSON.stringify([error, error.message])).not.toContain('s3cr3t')
    }
  })

  it('whose name cannot be one are missing, and nobody is asked', async () => {
    await using server = await openSecrets()
    const secrets = awsSecrets({ prefix: 'coldframe/guest/' }, impatience(server).settings)
    for (const name of ['a b', 'ü', 'x'.repeat(600)]) {
      await expect(secrets.read(name, cancel)).rejects.toMatchObject({ code: 'secret-missing', facts: { name } })
    }
    expect(server.calls).toEqual([])
  })
})
