// The generated template as it is: packaged, resolved and opened on this machine with all its functions, queues and event sources. That
// it works is for the tests that make backups with it.

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../kit/local-state.ts'
import { type Cloud, openCloud } from './cloud.ts'
import { type PackagedStack, packageInto, unpackFunction } from './template.ts'
import { installVirtualTime } from './virtual-time.ts'

const time = installVirtualTime()
const root = join(import.meta.dirname, '..', '..')
const opened = new AsyncDisposableStack()
let packaged: PackagedStack

beforeAll(async () => {
  const folder = opened.use(await temporaryFolder())
  packaged = await packageInto(join(folder.path, 'stack'), root)
}, 60_000)
afterAll(() => opened.disposeAsync())

function openWith(parameters: Readonly<Record<string, string>>): Promise<Cloud> {
  return openCloud({
    ...{ template: packaged.template, time, folder: join(packaged.folder, 'logs'), parameters },
    taskRootOf: (name) => unpackFunction(packaged, name),
    openPeers: async () => ({}),
    credentials: {},
    authorize: () => null,
  })
}

describe('the generated template', () => {
  it.each([
    ['by itself', { NotifyEmail: 'ops@example.com' }],
    ['with a JWT', { ApiAuth: 'jwt', JwtIssuer: 'https://issuer.example', JwtAudience: 'coldframe' }],
    [
      'in a network, a bucket and with a key that are there',
      {
        ...{ VpcId: 'vpc-0a', SubnetIds: 'subnet-0a,subnet-0b', SecurityGroupId: 'sg-0a', Egress: 'given' },
        ...{
          RepositoryBucket: 'my-bucket',
          RepositoryPrefix: 'vms/',
          WrapKeyArn: 'arn:aws:kms:eu-central-1:111122223333:key/a-b',
        },
      },
    ],
  ])('gives every function what it needs: %s', async (_how, parameters) => {
    await using cloud = await openWith({ VCenter: 'https://vcenter.example', ...parameters })
    expect(cloud.functions.size).toBeGreaterThan(10)
    for (const { description } of cloud.functions.values()) {
      for (const [name, value] of Object.entries(description.environment))
        expect([name, value]).toEqual([name, expect.any(String)])
    }
    expect(cloud.sources.length).toBeGreaterThan(8)
    const plan = cloud.function('plan').description.environment
    expect(plan['COLDFRAME_PREPARE_QUEUE']).toBe(cloud.queues.byName('PrepareQueue').url)
    for (const name of cloud.stack.ofType('AWS::ECS::TaskDefinition'))
      expect(cloud.stack.properties(name)).toHaveProperty('Family')
  })

  it('is refused with values that it does not allow', async () => {
    await expect(openWith({})).rejects.toThrow('the parameter "VCenter" has no value')
    await expect(openWith({ VCenter: 'http://vcenter.example' })).rejects.toThrow('"VCenter" may not be')
  })
})
