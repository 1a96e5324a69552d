// The rules of style on seeded violations, and on what comes close to one but is allowed.

import { describe, expect, it } from 'vitest'
import { checkTidiness } from '../../scripts/tidy.ts'

function faultsOf(path: string, text: string): readonly string[] {
  return checkTidiness([{ path, text }]).map(({ line, message }) => `${line} ${message}`)
}

const manyLines = (count: number) => 'a()\n'.repeat(count)

describe('checkTidiness() refuses', () => {
  it.each([
    ['a file of more than 400 lines', 'lib/a.ts', manyLines(401), 'has 401 lines'],
    ['a function of more than 70 lines', 'lib/a.ts', `function long() {\n${manyLines(69)}}\n`, 'function of 71 lines'],
    ['a default export', 'lib/a.ts', 'export default 1\n', 'default export'],
    ['a default export by name', 'lib/a.ts', 'const a = 1\nexport { a as default }\n', 'default export'],
    ['a star export', 'lib/a.ts', "const b = 1\nexport * from './b.ts'\n", 'exports all of another file'],
    ['a barrel', 'lib/a.ts', "export { b } from './b.ts'\n", 'is a barrel'],
    ['an index file', 'lib/index.ts', 'export const a = 1\n', 'is a barrel'],
    ['an empty word in a file name', 'lib/disk-utils.ts', 'export const a = 1\n', 'says "utils"'],
    ['a file name not in kebab-case', 'lib/diskReader.ts', 'export const a = 1\n', 'kebab-case'],
    ['an empty word in a variable', 'lib/a.ts', 'const diskInfo = 1\n', 'name "diskInfo" says "info"'],
    ['an empty word in a function', 'lib/a.ts', 'function helper() {}\n', 'says "helper"'],
    ['an empty word in a parameter', 'lib/a.ts', 'const f = (diskManager: string) => diskManager\n', 'says "manager"'],
    ['an empty word in a type', 'lib/a.ts', 'type VMInfo = string\n', 'name "VMInfo" says "info"'],
    ['an empty word in a class', 'lib/a.ts', 'class BackupService {}\n', 'says "service"'],
    ['an empty word in a renamed import', 'lib/a.ts', "import { a as misc } from './b.ts'\n", 'says "misc"'],
    ['an empty word taken from a field of another name', 'lib/a.ts', 'const { a: common } = x\n', 'says "common"'],
    ['a class that extends one that is no error', 'lib/a.ts', 'class A extends Store {}\n', 'not an error'],
    ['any', 'lib/a.ts', 'const a: any = 1\n', 'uses "any"'],
    ['a non-null assertion', 'lib/a.ts', 'f(a!)\n', 'uses "!"'],
    ['a cast', 'lib/a.ts', 'const a = b as string\n', 'casts with "as"'],
    ['an angle cast', 'lib/a.ts', 'const a = <string>b\n', 'casts with <…>'],
    [
      'a cast in a parse function to another type',
      'lib/a.ts',
      'function parseA(t: string): A {\n return f(t as B)\n}\n',
      'casts with "as"',
    ],
    ['Date.now', 'lib/a.ts', 'const a = Date.now()\n', 'reads the clock'],
    ['the time of a new Date', 'sim/a.ts', 'const a = new Date()\n', 'reads the clock'],
    ['Math.random', 'sim/a.ts', 'const a = Math.random()\n', 'uses chance'],
    ['process.env', 'lib/compose/a.ts', "const a = process.env['HOME']\n", 'reads the environment'],
    ['a mocked module', 'test/a.test.ts', "vi.mock('./a.ts')\n", 'mocks a module'],
    ['work put off without an issue', 'lib/a.ts', '// TODO: later\nconst a = 1\n', 'puts work off'],
    ['code in line comments', 'lib/a.ts', '// const a = 1\n// use(a)\nconst b = 1\n', 'code in a comment'],
    ['code in a block comment', 'lib/a.ts', '/* await close() */\nconst b = 1\n', 'code in a comment'],
    ['a file that does not parse', 'lib/a.ts', 'const = 1\n', 'cannot be parsed'],
  ])('%s', (_name, path, text, message) => {
    const faults = faultsOf(path, text)
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(message)
  })
})

describe('checkTidiness() accepts', () => {
  it.each([
    ['the longest file and function', 'lib/a.ts', `function long() {\n${manyLines(68)}}\n${manyLines(330)}`],
    ['a suite of tests of any length', 'test/a.test.ts', `describe('a', () => {\n${manyLines(80)}it('b', f)\n})\n`],
    ['an error that extends one', 'lib/a.ts', 'class SimFault extends Error {}\nclass B extends BackupError {}\n'],
    [
      'the cast of a maker of a brand',
      'lib/a.ts',
      'function parseA(text: string): A {\n  return check(text) as A\n}\n',
    ],
    ['the cast of an arrow that makes a brand', 'lib/a.ts', 'const parseA = (text: string): A => text as A\n'],
    ['const casts', 'lib/a.ts', 'const a = [1] as const\n'],
    ['casts in wire and in tests', 'lib/wire/a.ts', 'const a = b as string\n'],
    ['the clock in its own file', 'lib/base/clock.ts', 'const a = Date.now()\n'],
    ['the environment in a program', 'cli/main.ts', 'const a = process.env\n'],
    ['a date made of a number', 'lib/a.ts', 'const a = new Date(ms)\n'],
    [
      'VMware’s words as data',
      'lib/a.ts',
      "const { info } = task\nconst a = { info: task.info, kind: 'SessionManager' }\n",
    ],
    [
      'VMware’s words in names',
      'lib/a.ts',
      'const SERVICE_INSTANCE = 1\nfunction readTaskInfo(serviceContent: string) {}\n',
    ],
    ['an imported name of others', 'lib/a.ts', "import { serviceContent } from 'x'\n"],
    [
      'prose in comments',
      'lib/a.ts',
      '// For each disk: read, then (if it is not zero) write.\n// return codes: 0, 1\nconst a = 1\n',
    ],
    ['examples in docstrings', 'lib/a.ts', '/**\n * await close()\n */\nconst a = 1\n'],
    ['work put off with an issue', 'lib/a.ts', '// TODO(#12): the other half\nconst a = 1\n'],
  ])('%s', (_name, path, text) => {
    expect(faultsOf(path, text)).toEqual([])
  })
})
