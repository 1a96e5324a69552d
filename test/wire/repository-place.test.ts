import { describe, expect, it } from 'vitest'
import { placeName, placeVariables, repositoryPlaceOf } from '../../lib/wire/repository-place.ts'

type Environment = Readonly<Record<string, string>>

function read(text: string, environment: Environment = { AWS_REGION: 'eu-central-1' }) {
  const faults: string[] = []
  const place = repositoryPlaceOf({ name: 'COLDFRAME_REPOSITORY', text }, { environment, folder: '/work', faults })
  return { place, faults }
}

describe('repositoryPlaceOf()', () => {
  it('reads folders and buckets', () => {
    expect(read('file:data/r').place).toEqual({ kind: 'folder', folder: '/work/data/r' })
    const bucket = { kind: 's3', region: 'eu-central-1', endpoint: null, lock: null, objectKey: null }
    expect(read('s3:backups').place).toEqual({ ...bucket, bucket: 'backups', prefix: '' })
    expect(read('s3://back.ups/a/b/').place).toEqual({ ...bucket, bucket: 'back.ups', prefix: 'a/b/' })
  })

  it('gives a place that other processes read back from its variables', () => {
    const environment = {
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_ENDPOINT_URL: 'http://127.0.0.1:9000/',
      COLDFRAME_OBJECT_LOCK: 'compliance:30',
      COLDFRAME_OBJECT_KEY: 'arn:aws:kms:us-east-1:111122223333:key/1',
    }
    for (const text of ['s3:backups/a', 's3:backups', 'file:/srv/r']) {
      const { place, faults } = read(text, environment)
      if (place === null) throw new Error(faults.join('\n'))
      expect(placeName(place)).toBe(text)
      const { COLDFRAME_REPOSITORY: name = '', ...rest } = placeVariables(place)
      expect(read(name, rest).place).toEqual(place)
    }
  })

  it('lists what is missing or wrong', () => {
    expect(read('s3:backups', {}).faults.join()).toContain('AWS_REGION is not set')
    for (const odd of ['ftp:x', 's3:', 's3:B', 's3:ab', 's3:bucket/../x', 's3:bucket/a b', 's3:bucket//a']) {
      expect(read(odd)).toMatchObject({ place: null, faults: { length: 1 } })
    }
    const environment = {
      AWS_REGION: 'Frankfurt!',
      AWS_ENDPOINT_URL_S3: 'https://me:secret@host/path',
      COLDFRAME_OBJECT_LOCK: 'compliance',
      COLDFRAME_OBJECT_KEY: 'alias/x',
    }
    expect(read('s3:backups', environment).faults).toHaveLength(4)
  })
})
