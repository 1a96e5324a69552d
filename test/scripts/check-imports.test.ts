// The import table on seeded violations: small sets of files in memory, each with one fault.

import { describe, expect, it } from 'vitest'
import { checkImports } from '../../scripts/check-imports.ts'

/** Files that other seeded files import; they import nothing themselves. */
const base = {
  'lib/base/bytes.ts': 'export const MiB = 1\n',
  'lib/model/job.ts': 'export type Job = string\n',
  'lib/ports/queue.ts': 'export type Queue = string\n',
  'lib/wire/policy.ts': 'export const policy = 1\n',
  'lib/stages/_order.ts': 'export const order = 1\n',
  'lib/mover/move.ts': 'export const move = 1\n',
  'lib/adapters/aws/queue.ts': 'export const queue = 1\n',
  'lib/adapters/disk/nbd.ts': 'export const nbd = 1\n',
  'task/main.ts': 'export const task = 1\n',
}

/** @returns `path:line message` of each fault of the base files and these */
function faultsOf(files: Readonly<Record<string, string>>): readonly string[] {
  const all = Object.entries({ ...base, ...files }).map(([path, text]) => ({ path, text }))
  return checkImports(all).map(({ path, line, message }) => `${path}:${line} ${message}`)
}

describe('checkImports() refuses', () => {
  it.each([
    [
      'an upward import',
      'lib/model/a.ts',
      "import { queue } from '../ports/queue.ts'",
      'imports lib/ports, but lib/model may import lib/base',
    ],
    [
      'a type-only upward import',
      'lib/base/a.ts',
      "import type { Job } from '../model/job.ts'",
      'imports lib/model, but lib/base may import nothing of ours',
    ],
    ['an import type', 'lib/base/a.ts', "export type A = import('../model/job.ts').Job", 'imports lib/model'],
    ['an import at run time', 'lib/base/a.ts', "export const a = await import('../model/job.ts')", 'imports lib/model'],
    ['a re-export', 'lib/base/a.ts', "export { job } from '../model/job.ts'", 'imports lib/model'],
    [
      'an adapter that imports another',
      'lib/adapters/disk/a.ts',
      "import { queue } from '../aws/queue.ts'",
      'imports lib/adapters/aws',
    ],
    [
      'a stage that imports an adapter',
      'lib/stages/a.ts',
      "import { queue } from '../adapters/aws/queue.ts'",
      'imports lib/adapters/aws',
    ],
    ['a stage that imports wire', 'lib/stages/a.ts', "import { policy } from '../wire/policy.ts'", 'imports lib/wire'],
    [
      'a program that imports another',
      'cli/a.ts',
      "import { task } from '../task/main.ts'",
      'imports task, but cli may import lib',
    ],
    [
      'a library that imports a program',
      'lib/compose/a.ts',
      "import { task } from '../../task/main.ts'",
      'imports task',
    ],
    [
      'a simulator that knows the library',
      'sim/a.ts',
      "import type { Job } from '../lib/model/job.ts'",
      'imports lib/model, but sim may import lib/base',
    ],
    [
      'another folder’s private file',
      'lib/compose/a.ts',
      "import { order } from '../stages/_order.ts'",
      'which is private to lib/stages',
    ],
    [
      'a package outside its home',
      'lib/model/a.ts',
      "import * as z from 'zod'",
      'imports "zod", whose home is lib/wire',
    ],
    [
      'a part of a package outside its home',
      'lib/stages/a.ts',
      "import type { S3 } from '@aws-sdk/client-s3'",
      'whose home is lib/adapters/aws',
    ],
    ['zod by parts', 'lib/wire/a.ts', "import { z } from 'zod'", 'write import * as z'],
    ['a package without a home', 'lib/model/a.ts', "import { pad } from 'left-pad'", 'without a home'],
    ['a file that is not there', 'lib/model/a.ts', "import { gone } from './gone.ts'", 'which is not there'],
    ['a folder without a place in the table', 'lib/extra/a.ts', 'export const a = 1', 'the import table'],
    [
      'a function that leads to the data path',
      'functions/plan/handler.ts',
      "import { move } from '../../lib/mover/move.ts'",
      'to the data path',
    ],
  ])('%s', (_name, path, text, message) => {
    const faults = faultsOf({ [path]: `// A file.\n${text}\n` })
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(message)
  })

  it('a cycle, of type-only imports too, and names the way round', () => {
    const faults = faultsOf({
      'lib/model/a.ts': "import type { B } from './b.ts'\nexport type A = B\n",
      'lib/model/b.ts': "import type { C } from './c.ts'\nexport type B = C\n",
      'lib/model/c.ts': "import type { A } from './a.ts'\nexport type C = A\n",
    })
    expect(faults).toEqual([
      'lib/model/c.ts:1 closes a cycle: lib/model/a.ts → lib/model/b.ts → lib/model/c.ts → lib/model/a.ts',
    ])
  })

  it('a function that leads to the data path through other files', () => {
    const faults = faultsOf({
      'functions/plan/handler.ts': "import { plan } from '../../lib/compose/plan.ts'\nplan()\n",
      'lib/compose/plan.ts': "import { nbd } from '../adapters/disk/nbd.ts'\nexport const plan = nbd\n",
    })
    expect(faults).toEqual([
      'lib/compose/plan.ts:1 leads from a Lambda function to the data path: lib/adapters/disk/nbd.ts',
    ])
  })
})

it('checkImports() accepts what the table allows, and everything in tests', () => {
  const faults = faultsOf({
    'lib/stages/plan.ts': "import type { Job } from '../model/job.ts'\nimport { order } from './_order.ts'\n",
    'lib/wire/a.ts': "import * as z from 'zod'\nimport { randomBytes } from 'node:crypto'\n",
    'lib/adapters/aws/a.ts': "import { S3 } from '@aws-sdk/client-s3'\n",
    'functions/plan/handler.ts': "import type { M } from '../../lib/mover/move.ts'\nimport middy from '@middy/core'\n",
    'test/a.test.ts':
      "import { move } from '../lib/mover/move.ts'\nimport { it } from 'vitest'\nimport { o } from '../lib/stages/_order.ts'\n",
  })
  expect(faults).toEqual([])
})
