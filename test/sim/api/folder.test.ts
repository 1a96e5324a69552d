import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { call, openSim, PASSWORD, type Sim, USER } from './raw-client.ts'

const MiB = 1024 * 1024
const cold = '/folder/cold-01/cold-01-flat.vmdk?dcPath=DC1&dsName=ds1'
const running = '/folder/app-01/app-01-flat.vmdk?dcPath=DC1&dsName=ds1'

async function openFolder(): Promise<Sim & { readonly headers: { readonly Cookie: string } }> {
  const sim = await openSim()
  return { ...sim, headers: { Cookie: await sim.login() } }
}

describe('/folder', () => {
  it('needs a session or Basic credentials', async () => {
    await using sim = await openFolder()

    const basic = (password: string) => `Basic ${Buffer.from(`${USER}:${password}`).toString('base64')}`
    const status = async (headers: Record<string, string>) => (await sim.http(cold, { method: 'HEAD', headers })).status
    expect(await status({})).toBe(401)
    expect(await status({ Cookie: 'vmware_soap_session="0123"' })).toBe(401)
    expect(await status({ Authorization: basic('wrong') })).toBe(401)
    expect(await status({ Authorization: basic(PASSWORD) })).toBe(200)
    expect(await status(sim.headers)).toBe(200)
  })

  it('gives the whole file and ranges of it, and 416 past its end', async () => {
    await using sim = await openFolder()

    const whole = await sim.http(cold, { headers: sim.headers })
    expect(whole).toMatchObject({ status: 200, headers: { 'accept-ranges': 'bytes' } })
    expect(whole.body.byteLength).toBe(2 * MiB)
    const range = (text: string) => sim.http(cold, { headers: { ...sim.headers, Range: text } })
    const part = await range('bytes=65536-131071')
    expect(part).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 65536-131071/2097152' } })
    expect(part.body.equals(whole.body.subarray(65536, 131072))).toBe(true)
    expect((await range('bytes=2097151-')).body).toEqual(whole.body.subarray(-1))
    expect((await range('bytes=-512')).body).toEqual(whole.body.subarray(-512))
    expect((await range('bytes=2000000-9999999')).body.byteLength).toBe(2 * MiB - 2_000_000)
    expect(await range('bytes=2097152-2097153')).toMatchObject({
      status: 416,
      headers: { 'content-range': 'bytes */2097152' },
    })
  })

  it('knows names that are encoded twice, and answers 404 to unknown ones', async () => {
    await using sim = await openFolder()

    const status = async (path: string) => (await sim.http(path, { method: 'HEAD', headers: sim.headers })).status
    expect(await status('/folder/cold-01/cold-01.vmx?dcPath=%2544C1&dsName=%2564s1')).toBe(200)
    expect(await status('/folder/cold-01/cold-01.vmx?dcPath=DC9&dsName=ds1')).toBe(404)
    expect(await status('/folder/cold-01/cold-01.vmx?dcPath=DC1&dsName=ds9')).toBe(404)
    expect(await status('/folder/cold-01/nothing?dcPath=DC1&dsName=ds1')).toBe(404)
    expect(await status('/folder/%2e%2e/cold-01.vmx?dcPath=DC1&dsName=ds1')).toBe(404)
  })

  it('refuses the disk a running machine writes, and gives it once a snapshot has frozen it', async () => {
    await using sim = await openFolder()

    const locked = await sim.http(running, { headers: sim.headers })
    expect(locked.status).toBe(500)
    expect(locked.body.toString()).toContain('FileLocked')
    const args = '<name>a</name><memory>false</memory><quiesce>false</quiesce>'
    const reply = await sim.soap(call('CreateSnapshot_Task', { type: 'VirtualMachine', id: 'vm-101', args }), {
      cookie: sim.headers.Cookie,
    })
    await sim.task(reply, sim.headers.Cookie)
    const first = await sim.http(running, { headers: sim.headers })
    expect(first.status).toBe(200)
    sim.estate.named('app-01')[0]?.guest.step(20)
    const second = await sim.http(running, { headers: sim.headers })
    expect(digest(second.body)).toBe(digest(first.body))
    const delta = running.replace('-flat', '-000001-delta')
    expect((await sim.http(delta, { method: 'HEAD', headers: sim.headers })).status).toBe(500)
  })

  it('takes firmware settings and the extent of a machine that is off, not that of one that runs', async () => {
    await using sim = await openFolder()

    const put = (path: string, body: Uint8Array) => sim.http(path, { method: 'PUT', headers: sim.headers, body })
    const nvram = '/folder/cold-01/cold-01.nvram?dcPath=DC1&dsName=ds1'
    const settings = new Uint8Array(8684).fill(7)
    expect((await put(nvram, settings)).status).toBe(200)
    expect((await sim.http(nvram, { headers: sim.headers })).body.equals(Buffer.from(settings))).toBe(true)
    const image = Buffer.alloc(2 * MiB, 'new content ')
    expect((await put(cold, image)).status).toBe(200)
    expect(digest((await sim.http(cold, { headers: sim.headers })).body)).toBe(digest(image))
    expect((await put(cold, Buffer.alloc(3 * MiB))).status).toBe(500)
    expect((await put(running, Buffer.alloc(512))).status).toBe(500)
  })

  it('gives short bodies and wrong ranges when a scenario says so', async () => {
    await using sim = await openFolder()

    const headers = { ...sim.headers, Range: 'bytes=65536-131071' }
    sim.arm('/folder', { kind: 'short-body' })
    const short = await sim.http(cold, { headers })
    expect(short).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 65536-131071/2097152' } })
    expect(short.body.byteLength).toBe(32768)
    sim.arm('/folder', { kind: 'wrong-range' })
    const wrong = await sim.http(cold, { headers })
    expect(wrong.headers['content-range']).toBe('bytes 65024-130559/2097152')
    expect(wrong.body.byteLength).toBe(65536)
  })
})

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
