import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { readTaskSize } from '../../../lib/adapters/aws/task-size.ts'
import { memoryLog } from '../../../lib/adapters/memory/log.ts'

const cancel = { signal: new AbortController().signal }

/** A container agent that answers this, whatever it is asked. */
async function openAgent(status: number, body: string): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((_request, response) => response.writeHead(status).end(body))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/v4/id`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

describe('the size of a task', () => {
  it.each([
    [200, '{"Cluster":"c","LaunchType":"FARGATE","Limits":{"CPU":0.5,"Memory":3072}}', { vcpus: 0.5, memoryGb: 3 }],
    [200, '{"LaunchType":"EXTERNAL","Limits":{"CPU":2,"Memory":4096}}', null],
    [200, '{"LaunchType":"FARGATE"}', null],
    [200, '{"Limits":{"CPU":0,"Memory":"much"}}', null],
    [200, 'hello', null],
    [500, '{"LaunchType":"FARGATE","Limits":{"CPU":2,"Memory":4096}}', null],
  ])('is what the container agent says: %i %s', async (status, body, size) => {
    await using agent = await openAgent(status, body)
    expect(await readTaskSize(agent.url, { log: memoryLog() }, cancel)).toEqual(size)
  })

  it('is not known outside of ECS, or when the agent is away: that stops nothing', async () => {
    const log = memoryLog()
    expect(await readTaskSize(undefined, { log }, cancel)).toBeNull()
    expect(log.lines).toEqual([])
    expect(await readTaskSize('http://127.0.0.1:9/v4/id', { log }, cancel)).toBeNull()
    expect(log.lines).toMatchObject([{ event: 'task.size-unknown' }])
  })
})
