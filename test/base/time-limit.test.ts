// Time limits hold also when nobody listens and the garbage collector runs in between.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { anySignal, withTimeLimit } from '../../lib/base/time-limit.ts'

setFlagsFromString('--expose-gc')
const collect: unknown = runInNewContext('gc')

async function collectFor(ms: number): Promise<void> {
  const endMs = performance.now() + ms
  while (performance.now() < endMs) {
    if (typeof collect === 'function') collect()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

it('a limit that passes while nobody listens is found to have passed', async () => {
  const parent = new AbortController()
  const limits = Array.from({ length: 20 }, () => withTimeLimit(parent.signal, 60))
  await collectFor(200)
  expect(limits.map((signal) => signal.aborted)).toEqual(limits.map(() => true))
})

it('a limit derived from a limit keeps the earlier one', async () => {
  const parent = new AbortController()
  const derived = Array.from({ length: 20 }, () => {
    const inner = withTimeLimit(withTimeLimit(parent.signal, 60), 60_000)
    return anySignal([inner, new AbortController().signal])
  })
  await collectFor(200)
  expect(derived.map((signal) => signal.aborted)).toEqual(derived.map(() => true))
})

it('a limit has the reason of its parent when that was first', () => {
  const parent = new AbortController()
  const limit = withTimeLimit(parent.signal, 60_000)
  parent.abort(new Error('over'))
  expect(limit.reason).toEqual(new Error('over'))
})
