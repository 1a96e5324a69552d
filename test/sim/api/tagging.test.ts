import { describe, expect, it } from 'vitest'
import { openSim, PASSWORD, type Sim, USER } from './raw-client.ts'

const authorization = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`

describe.each([
  { form: '/api', session: '/api/session', tagging: '/api/cis/tagging', action: '?action=', idOf: (id: string) => id },
  {
    form: '/rest',
    session: '/rest/com/vmware/cis/session',
    tagging: '/rest/com/vmware/cis/tagging',
    action: '?~action=',
    idOf: (id: string) => `id:${id}`,
  },
])('tags in the $form form', ({ session, tagging, action, idOf, form }) => {
  it('are found by category, and lead to machines and back', async () => {
    await using sim = await openSim()

    const opened = await sim.http(session, { method: 'POST', headers: { Authorization: authorization } })
    expect(opened.status).toBe(form === '/api' ? 201 : 200)
    const headers = { 'vmware-api-session-id': String(contentOf(opened.body)) }
    const get = (path: string) => ask(sim, { path: `${tagging}${path}`, headers })
    const post = (path: string, body: unknown) => ask(sim, { path: `${tagging}${path}`, headers, body })
    const categories = (await get('/category')) as readonly string[]
    const category = (await get(`/category/${idOf(categories[0] ?? '')}`)) as {
      readonly id: string
      readonly name: string
    }
    expect(category.name).toBe('backup')
    const ids = (await get('/tag')) as readonly string[]
    const all = (await Promise.all(ids.map((id) => get(`/tag/${idOf(id)}`)))) as readonly {
      id: string
      name: string
      category_id: string
    }[]
    expect(all.map(({ name }) => name).toSorted()).toEqual(['gold', 'silver'])
    expect(all.every((tag) => tag.category_id === category.id)).toBe(true)
    const gold = all.find(({ name }) => name === 'gold')?.id
    expect(await post(`/tag-association${action}list-attached-objects-on-tags`, { tag_ids: [gold] })).toEqual([
      {
        tag_id: gold,
        object_ids: [
          { id: 'vm-101', type: 'VirtualMachine' },
          { id: 'vm-102', type: 'VirtualMachine' },
        ],
      },
    ])
    const object = { id: 'vm-101', type: 'VirtualMachine' }
    expect(await post(`/tag-association${action}list-attached-tags-on-objects`, { object_ids: [object] })).toEqual([
      { object_id: object, tag_ids: [gold] },
    ])
  })

  it('need a session', async () => {
    await using sim = await openSim()

    expect((await sim.http(`${tagging}/tag`)).status).toBe(401)
    expect((await sim.http(session, { method: 'POST' })).status).toBe(401)
  })
})

async function ask(
  sim: Sim,
  options: { readonly path: string; readonly headers: Record<string, string>; readonly body?: unknown },
): Promise<unknown> {
  const { path, headers, body } = options
  const more = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
  const reply = await sim.http(path, { headers, ...more })
  expect(reply.status).toBe(200)
  return contentOf(reply.body)
}

/** The older form wraps what it answers. */
function contentOf(body: Buffer): unknown {
  const value: unknown = JSON.parse(body.toString('utf8'))
  return typeof value === 'object' && value !== null && 'value' in value ? value.value : value
}
