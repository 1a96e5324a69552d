// The Lambda host with small handlers: what Lambda promises a function, and what becomes of one that misbehaves.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../kit/local-state.ts'
import { checkFunction, type FunctionDescription, LambdaFunction } from './lambda-function.ts'
import type { VirtualTime } from './virtual-time.ts'

const stack = new AsyncDisposableStack()
afterEach(() => stack.disposeAsync())

let aheadMs = 0
const time: VirtualTime = {
  nowMs: () => Date.now() + aheadMs,
  aheadMs: () => aheadMs,
  setAheadMs: (ms) => {
    aheadMs = ms
  },
}

async function functionOf(code: string, change: Partial<FunctionDescription> = {}) {
  const folder = await temporaryFolder()
  await mkdir(join(folder.path, 'build'))
  await writeFile(join(folder.path, 'build', 'handler.mjs'), code)
  const killers: (() => void)[] = []
  const description: FunctionDescription = {
    ...{ name: 'one', functionName: 'coldframe-dev-one', arn: 'arn:one', taskRoot: folder.path },
    ...{ handler: 'build/handler.handler', timeoutMs: 10_000, memoryMb: 512, environment: { OWN: 'at http://queues' } },
    ...change,
  }
  const made = new LambdaFunction(description, {
    time,
    logFolder: folder.path,
    openWay: async ({ kill }) => {
      killers.push(kill)
      return {
        variables: { AWS_REGION: 'eu-central-1' },
        rewrite: (value) => value.replace('http://queues', 'http://way'),
        close: () => undefined,
      }
    },
  })
  const own = new AsyncDisposableStack()
  own.use(folder)
  own.use(made)
  return Object.assign(made, {
    killers,
    log: () => readFile(join(folder.path, 'one.log'), 'utf8'),
    end: () => own.disposeAsync(),
  })
}

describe('a function', () => {
  it('gets event and context, its own environment alone, and keeps its instance', async () => {
    const one = await functionOf(`
      let calls = 0
      export const handler = async (event, context) => ({
        calls: ++calls, event, left: context.getRemainingTimeInMillis(), id: context.awsRequestId, name: context.functionName,
        own: process.env.OWN, region: process.env.AWS_REGION, home: process.env.HOME ?? null, root: process.env.LAMBDA_TASK_ROOT })`)
    const first = await one.invoke({ a: [1] })
    expect(first).toMatchObject({
      kind: 'ok',
      payload: {
        calls: 1,
        event: { a: [1] },
        name: 'coldframe-dev-one',
        own: 'at http://way',
        region: 'eu-central-1',
        home: null,
      },
    })
    expect(await one.invoke(null)).toMatchObject({ payload: { calls: 2, event: null } })
    const both = await Promise.all([one.invoke(1), one.invoke(2)])
    expect(both.map((result) => result.kind)).toEqual(['ok', 'ok'])
    expect(one.counts).toEqual({ invocations: 4, errors: 0, timeouts: 0, deaths: 0, coldStarts: 2 })
    await one.end()
  })

  it('tells errors by their names, and goes on after them', async () => {
    const one = await functionOf(`
      let calls = 0
      export const handler = async (event) => {
        console.log('call', ++calls)
        if (event === 'bad') throw new TypeError('that is bad')
        return event === 'none' ? undefined : calls
      }`)
    expect(await one.invoke('bad')).toEqual({ kind: 'error', errorType: 'TypeError', errorMessage: 'that is bad' })
    expect(await one.invoke('none')).toEqual({ kind: 'ok', payload: null })
    expect(await one.invoke('good')).toEqual({ kind: 'ok', payload: 3 })
    expect(one.counts).toMatchObject({ errors: 1, coldStarts: 1 })
    expect(await one.log()).toBe('call 1\ncall 2\ncall 3\n')
    await one.end()
  })

  it('is killed at its time limit, and starts anew', async () => {
    const one = await functionOf(
      `let calls = 0
       export const handler = async (event) => { calls++; if (event === 'hang') await new Promise((r) => setTimeout(r, 60_000)); return calls }`,
      { timeoutMs: 1000 },
    )
    expect(await one.invoke('hang')).toMatchObject({ errorType: 'Sandbox.Timedout' })
    expect(await one.invoke('')).toEqual({ kind: 'ok', payload: 1 })
    expect(one.counts).toMatchObject({ errors: 1, timeouts: 1, coldStarts: 2 })
    await one.end()
  })

  it('may die while it works: by itself, or by a hand from outside', async () => {
    const one = await functionOf(`
      export const handler = async (event) => { if (event === 'exit') process.exit(3); await new Promise((r) => setTimeout(r, event)); return 1 }`)
    expect(await one.invoke('exit')).toMatchObject({ errorType: 'Runtime.ExitError' })
    const dying = one.invoke(60_000)
    while (one.killers.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    one.killers[1]?.()
    expect(await dying).toMatchObject({ errorType: 'Runtime.ExitError' })
    expect(await one.invoke(0)).toEqual({ kind: 'ok', payload: 1 })
    expect(one.counts).toMatchObject({ deaths: 2, coldStarts: 3 })
    await one.end()
  })

  it('that does not load fails each invocation with what its module threw', async () => {
    const one = await functionOf(`throw Object.assign(new Error('no settings'), { name: 'BackupError' })`)
    for (let round = 1; round <= 2; round++) {
      expect(await one.invoke(1)).toEqual({ kind: 'error', errorType: 'BackupError', errorMessage: 'no settings' })
      expect(one.counts.coldStarts).toBe(round)
    }
    await one.end()
    const absent = await functionOf('export const other = 1')
    expect(await absent.invoke(1)).toMatchObject({ errorMessage: expect.stringContaining('not exported') })
    await absent.end()
  })

  it('sees the time of the cloud', async () => {
    const one = await functionOf(`
      export const handler = async (_event, context) => ({ now: Date.now(), date: new Date().getTime(), left: context.getRemainingTimeInMillis(), old: new Date(5).getTime(), is: new Date() instanceof Date })`)
    await one.invoke(1)
    const before = Date.now()
    aheadMs = 3_600_000
    const found = await one.invoke(1)
    if (found.kind === 'error') throw new Error(found.errorMessage)
    const payload = found.payload as { readonly now: number; readonly date: number; readonly left: number }
    expect(payload.now - before).toBeGreaterThanOrEqual(3_600_000)
    expect(payload.now - before).toBeLessThan(3_660_000)
    expect(payload.date - payload.now).toBeLessThan(1000)
    expect(payload).toMatchObject({ old: 5, is: true })
    expect(payload.left).toBeGreaterThan(5_000)
    expect(payload.left).toBeLessThanOrEqual(10_000)
    await one.end()
  })

  it('is refused where Lambda would refuse it', () => {
    const good: FunctionDescription = {
      ...{ name: 'one', functionName: 'one', arn: '', taskRoot: '', handler: '' },
      ...{ timeoutMs: 3000, memoryMb: 512, environment: {} },
    }
    expect(() => checkFunction(good)).not.toThrow()
    expect(() => checkFunction({ ...good, environment: { AWS_REGION: 'x' } })).toThrow('sets "AWS_REGION"')
    expect(() => checkFunction({ ...good, environment: { A: 'x'.repeat(4096) } })).toThrow('at most 4096')
    expect(() => checkFunction({ ...good, timeoutMs: 901_000 })).toThrow('may run 901000 ms')
    expect(() => checkFunction({ ...good, memoryMb: 64 })).toThrow('has 64 MB')
  })
})
