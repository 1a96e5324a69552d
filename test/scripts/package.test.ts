// Bundles and packages the control path offline, without credentials, and reads the CloudFormation that comes out.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { STAGE_KINDS } from '../../lib/model/message.ts'
import { type Bundle, bundle, bundleAll } from '../../scripts/bundle.ts'
import { lintTemplate } from '../../scripts/lint-template.ts'
import { measureAll } from '../../scripts/measure-functions.ts'
import { type Packaged, packageStack } from '../../scripts/template/packaged.ts'

type Resource = { readonly Type: string; readonly Properties: Readonly<Record<string, unknown>> }

const root = dirname(dirname(import.meta.dirname))
const functionNames = [...STAGE_KINDS, 'watch', 'hunt', 'pull', 'schedule', 'task-stopped', 'api', 'webhook']
let folder = ''
let bundles: readonly Bundle[] = []
let resources: Readonly<Record<string, Resource>> = {}
let packaged: Packaged

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coldframe-package-'))
  bundles = await bundleAll(root)
  packaged = await packageStack(root, folder)
  const template = JSON.parse(await readFile(packaged.path, 'utf8'))
  resources = template.Resources
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

function ofType(type: string): readonly (readonly [string, Resource['Properties']])[] {
  return Object.entries(resources).flatMap(([name, { Type, Properties }]) =>
    Type === type ? [[name, Properties]] : [],
  )
}

/** The name in {"Fn::GetAtt": [name, …]} or {"Ref": name}. */
function referred(value: unknown): string {
  if (typeof value !== 'object' || value === null) throw new Error(`Not a reference: ${JSON.stringify(value)}`)
  if ('Ref' in value) return String(value.Ref)
  if ('Fn::GetAtt' in value && Array.isArray(value['Fn::GetAtt'])) return String(value['Fn::GetAtt'][0])
  throw new Error(`Not a reference: ${JSON.stringify(value)}`)
}

function propertiesOf(name: string): Resource['Properties'] {
  const resource = resources[name]
  if (resource === undefined) throw new Error(`There is no resource "${name}"`)
  return resource.Properties
}

describe('the packaged stack', () => {
  it('has a function for each stage, for watch, hunt, pull, schedule and the API, on Node 24 and arm64, each with a package of its own', async () => {
    const functions = new Map(ofType('AWS::Lambda::Function').map(([, one]) => [one['Handler'], one]))
    expect(functions.size).toBe(functionNames.length)
    for (const name of functionNames) {
      const one = functions.get(`build/functions/${name}/handler.handler`)
      expect(one).toMatchObject({ Runtime: 'nodejs24.x', Architectures: ['arm64'] })
      const { size } = await stat(join(folder, 'package', `${name}.zip`))
      expect(size).toBeLessThan(2_000_000)
    }
  })

  it('feeds each stage from its own queue, whose visibility is at least six times the time limit', () => {
    const fed = ofType('AWS::Lambda::EventSourceMapping').map(([, mapping]) => {
      const queueName = referred(mapping['EventSourceArn'])
      const functionName = referred(mapping['FunctionName'])
      const limit = Number(propertiesOf(functionName)['Timeout'])
      expect(Number(propertiesOf(queueName)['VisibilityTimeout'])).toBeGreaterThanOrEqual(6 * limit)
      expect(mapping['FunctionResponseTypes']).toEqual(['ReportBatchItemFailures'])
      expect(mapping['ScalingConfig']).toMatchObject({ MaximumConcurrency: expect.any(Number) })
      return `${queueName} → ${functionName}`
    })
    const title = (stage: string) => `${stage[0]?.toUpperCase()}${stage.slice(1)}`
    const expected = STAGE_KINDS.map((stage) => `${title(stage)}Queue → ${title(stage)}LambdaFunction`)
    expect(fed.toSorted()).toEqual([...expected, 'DeadLetterQueue → AbandonLambdaFunction'].toSorted())
  })

  it('gives every queue dead letters that outlive it, and ends them all in abandon or before people', () => {
    for (const [name, queue] of ofType('AWS::SQS::Queue')) {
      const redrive = queue['RedrivePolicy']
      if (name === 'BuriedQueue') {
        expect(redrive).toBeUndefined()
        continue
      }
      if (typeof redrive !== 'object' || redrive === null || !('deadLetterTargetArn' in redrive)) {
        throw new Error(`"${name}" has no dead letters`)
      }
      const target = referred(redrive.deadLetterTargetArn)
      expect(redrive).toMatchObject({ maxReceiveCount: 5 })
      expect(target).toBe(['AbandonQueue', 'DeadLetterQueue'].includes(name) ? 'BuriedQueue' : 'DeadLetterQueue')
      const keptSeconds = Number(propertiesOf(target)['MessageRetentionPeriod'])
      expect(keptSeconds).toBeGreaterThanOrEqual(Number(queue['MessageRetentionPeriod']))
    }
  })

  it('keeps its state in one table that survives the stack', () => {
    const [[name, table] = ['', {}], ...others] = ofType('AWS::DynamoDB::Table')
    expect(others).toEqual([])
    expect(resources[name]).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' })
    expect(table).toMatchObject({ KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }] })
  })

  it('runs watch and pull each minute and hunt every four hours, and lets stages that wait send to themselves', () => {
    const schedules = ofType('AWS::Scheduler::Schedule').map(([, schedule]) => schedule)
    expect(schedules.map((schedule) => schedule['ScheduleExpression'])).toEqual([
      'rate(1 minute)',
      'rate(1 minute)',
      'rate(4 hours)',
    ])
    for (const schedule of schedules) expect(schedule).toMatchObject({ State: 'ENABLED' })
    for (const [, { Handler, RecursiveLoop }] of ofType('AWS::Lambda::Function')) {
      expect(RecursiveLoop).toBe(
        /\/(watch|hunt|pull|schedule|task-stopped|api|webhook)\//.test(String(Handler)) ? undefined : 'Allow',
      )
    }
  })

  it('has no fault that its judge finds', async () => {
    const { faults, resources: count, types } = await lintTemplate(packaged, root)
    expect(faults).toEqual([])
    expect(count).toBeGreaterThan(100)
    expect(types).toBeGreaterThan(30)
  })
})

describe('the bundles', () => {
  // Limits of decision 022; what was measured is there.
  it('are small: what is packaged, and what is read before the first message', async () => {
    for (const { name, zipBytes, startBytes } of measureAll(root, 0)) {
      expect(zipBytes, name).toBeLessThan(1_000 * 1024)
      expect(startBytes, name).toBeLessThan(1_100 * 1024)
      expect((await stat(join(folder, 'package', `${name}.zip`))).size, name).toBeLessThan(1_050 * 1024)
    }
  })

  it('are one for each function and each entry of the task', () => {
    const targets = bundles.map(({ target }) => target)
    expect(targets).toEqual(expect.arrayContaining(functionNames.map((name) => `build/functions/${name}/handler.mjs`)))
    for (const entry of ['task/main.ts', 'task/worker.ts', 'task/restore-worker.ts'].filter((path) =>
      existsSync(join(root, path)),
    )) {
      expect(bundles.map((bundle) => bundle.entry)).toContain(entry)
    }
  })

  it('of functions are cut where something is loaded late', () => {
    for (const { target, bytes, startBytes } of bundles.filter(({ entry }) => entry.startsWith('functions/'))) {
      expect({ target, startBytes }).toMatchObject({ startBytes: expect.toSatisfy((size: number) => size < 1_200_000) })
      expect(bytes).toBeGreaterThanOrEqual(startBytes)
    }
  })

  it('load as they are where they are told their table, and refuse to start without it', () => {
    const handlers = functionNames.map((name) => join(root, 'build', 'functions', name, 'handler.mjs'))
    const script = `
      const codes = []
      for (const path of ${JSON.stringify(handlers)}) codes.push(await import(path).then(() => 'loaded', (error) => error.code))
      process.stderr.write(JSON.stringify(codes))`
    const kept = Object.entries(process.env).filter(([name]) => !/^(AWS_|COLDFRAME_)/.test(name))
    const codesWith = (environment: Readonly<Record<string, string>>): unknown => {
      const env = { ...Object.fromEntries(kept), AWS_REGION: 'eu-central-1', ...environment }
      const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env })
      return JSON.parse(stderr.slice(stderr.lastIndexOf('[')))
    }
    expect(codesWith({ COLDFRAME_TABLE: 'coldframe-state' })).toEqual(functionNames.map(() => 'loaded'))
    expect(codesWith({})).toEqual(functionNames.map(() => 'settings-faulty'))
  })

  // ssh2 asks for its own folder while it is loaded.
  it('may hold the packages that go into guests', async () => {
    const made = await bundle(root, { entries: ['lib/adapters/guest/network.ts'], folder: join(folder, 'guest') })
    expect(made).toMatchObject([{ entry: 'lib/adapters/guest/network.ts' }])
    const path = join(folder, 'guest', 'lib', 'adapters', 'guest', 'network.mjs')
    const script = `const { guestNetwork } = await import(${JSON.stringify(path)}); console.log(Object.keys(guestNetwork()).join(' '))`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    expect({ stdout, stderr }).toEqual({ stdout: 'probe openSsh openWinrm\n', stderr: '' })
  })
})
