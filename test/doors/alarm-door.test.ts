// The alarm doors through the Lambda handler: who gets in, what is kept of it, what is answered, and what a replay, a forgery, a crash
// or two at once make of it.

import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryQueue } from '../../lib/adapters/memory/queue.ts'
import { type ManualClock, manualClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { ALARM_BODY_BYTES_MAX } from '../../lib/doors/alarm-door.ts'
import { HMAC_KEY, memoryDoors, PASSWORD, type Posted, TOKEN } from '../kit/alarm-server.ts'
import { ceHeaders, script, snmp, vcfRest, vmAlarm } from '../wire/alarms/payloads.ts'

const cancel = { signal: new AbortController().signal }
const json = { 'content-type': 'application/json' }
const bearer = { ...json, authorization: `Bearer ${TOKEN}` }
const alert = JSON.parse(vcfRest)

function signed(clock: ManualClock, body: string, { key = HMAC_KEY, skewMs = 0 } = {}) {
  const ts = String(Math.floor((clock.nowMs() + skewMs) / 1000))
  const hex = createHmac('sha256', key).update(`${ts}.${body}`).digest('hex')
  return { ...json, 'x-coldframe-timestamp': ts, 'x-coldframe-signature': `v1=${hex}` }
}

async function recordsOf({ parts }: ReturnType<typeof memoryDoors>) {
  return parts.jobStore.recentAlarms({ limit: 100 }, cancel)
}

async function messagesOf(queue: ReturnType<typeof memoryQueue>) {
  const got = await queue.receive('alarm', { max: 100, visibilityMs: 1_000_000 }, cancel)
  return got.map(({ message }) => message)
}

function doorsWithQueue() {
  const clock = manualClock()
  const queue = memoryQueue({ clock, receivesMax: 5 })
  const doors = memoryDoors({ clock, change: { sender: queue } })
  return { ...doors, clock, queue }
}

const scriptBody = JSON.stringify(script)

describe('a door', () => {
  it.each([
    ['vcf-rest', 'POST', vcfRest, bearer, 201],
    ['vcf-rest', 'PUT', vcfRest, { ...json, authorization: `Basic ${btoa(`aria:${PASSWORD}`)}` }, 202],
    ['vcf-webhook', 'POST', vcfRest, bearer, 202],
    ['cloudevents', 'POST', JSON.stringify(vmAlarm), { ...bearer, ...ceHeaders }, 202],
    ['snmp', 'POST', JSON.stringify(snmp), bearer, 202],
  ] as const)('%s takes a %s, keeps the alarm and wakes its stage', async (dialect, method, body, headers, status) => {
    const doors = doorsWithQueue()
    const answer = await doors.handle({ path: `/alarms/${dialect}`, method, headers, body })
    expect(answer.status).toBe(status)
    const [record] = await recordsOf(doors)
    expect(record).toMatchObject({ alarm: { id: answer.body.alarmId }, decision: null })
    expect(await messagesOf(doors.queue)).toEqual([{ v: 1, kind: 'alarm', alarmId: answer.body.alarmId }])
  })

  it('takes a signed request, in base64 as well', async () => {
    const doors = doorsWithQueue()
    const headers = signed(doors.clock, scriptBody)
    for (const base64 of [false, true])
      expect((await doors.handle({ path: '/alarms/vcenter-script', headers, body: scriptBody, base64 })).status).toBe(
        202,
      )
    expect(await recordsOf(doors)).toHaveLength(1)
  })

  const refusals: readonly (readonly [string, number, string, Partial<Posted>])[] = [
    ['a door that is not there', 404, 'door-unknown', { path: '/alarms/nagios' }],
    ['a name that every object has', 404, 'door-unknown', { path: '/alarms/constructor' }],
    ['another method', 405, 'method', { method: 'DELETE' }],
    ['PUT where nobody sends updates', 405, 'method', { path: '/alarms/snmp', method: 'PUT' }],
    ['a body that is too large', 413, 'alarm-too-large', { body: new Uint8Array(ALARM_BODY_BYTES_MAX + 1).fill(32) }],
    ['nobody', 401, 'unauthorized', { headers: json }],
    ['a wrong token', 401, 'unauthorized', { headers: { ...json, authorization: `Bearer ${TOKEN}x` } }],
    ['an empty token', 401, 'unauthorized', { headers: { ...json, authorization: 'Bearer ' } }],
    ['a wrong password', 401, 'unauthorized', { headers: { ...json, authorization: `Basic ${btoa('aria:guess')}` } }],
    ['another type', 415, 'alarm-content-type', { headers: { ...bearer, 'content-type': 'application/xml' } }],
    ['no type', 415, 'alarm-content-type', { headers: { authorization: `Bearer ${TOKEN}` } }],
    ['what is no JSON', 422, 'alarm-malformed', { body: '{' }],
    ['nothing', 422, 'alarm-malformed', { body: '' }],
    ['what is no UTF-8', 422, 'alarm-malformed', { body: new Uint8Array([0x7b, 0xff, 0x7d]), base64: true }],
    ['another dialect', 422, 'alarm-malformed', { body: scriptBody }],
  ]
  it.each(refusals)('refuses %s with %i', async (_what, status, code, change) => {
    const doors = doorsWithQueue()
    const answer = await doors.handle({ path: '/alarms/vcf-rest', headers: bearer, body: vcfRest, ...change })
    expect(answer).toMatchObject({
      status,
      headers: { 'content-type': 'application/problem+json' },
      body: { status, code },
    })
    expect(await recordsOf(doors)).toEqual([])
    expect(await messagesOf(doors.queue)).toEqual([])
  })

  it('takes a body that is as large as may be, in base64, too', async () => {
    const body = vcfRest.padEnd(ALARM_BODY_BYTES_MAX, ' ')
    for (const base64 of [false, true]) {
      const doors = doorsWithQueue()
      expect((await doors.handle({ path: '/alarms/vcf-rest', headers: bearer, body, base64 })).status).toBe(201)
    }
  })

  it('tells nobody why it refused, and its own log does', async () => {
    const doors = doorsWithQueue()
    const late = signed(doors.clock, scriptBody, { skewMs: -301_000 })
    const wrong = signed(doors.clock, scriptBody, { key: 'another-key-0000000' })
    const answers = []
    for (const headers of [late, wrong, json])
      answers.push((await doors.handle({ path: '/alarms/vcenter-script', headers, body: scriptBody })).body)
    expect(new Set(answers.map((body) => JSON.stringify(body))).size).toBe(1)
    const logged = JSON.stringify(doors.log.lines)
    expect(logged).toContain('-301 s from now')
    expect(logged).toContain('fits no key')
    expect(logged).not.toContain(HMAC_KEY)
  })

  it('without a secret lets nobody in; one that cannot be read now is no refusal', async () => {
    const none = async () => {
      throw new BackupError('none', { code: 'secret-missing', kind: 'usage' })
    }
    const away = async () => {
      throw new BackupError('away', { code: 'aws-unreachable', retry: 'later' })
    }
    const post = { path: '/alarms/vcf-rest', headers: bearer, body: vcfRest }
    expect((await memoryDoors({ change: { secrets: { read: none } } }).handle(post)).status).toBe(401)
    const answer = await memoryDoors({ change: { secrets: { read: away } } }).handle(post)
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '30' } })
  })
})

describe('a signature', () => {
  it.each([
    [-300_000, 202],
    [300_000, 202],
    [-301_000, 401],
    [301_000, 401],
    [-365 * 86_400_000, 401],
  ])('of %i ms from now is answered with %i', async (skewMs, status) => {
    const doors = doorsWithQueue()
    const headers = signed(doors.clock, scriptBody, { skewMs })
    expect((await doors.handle({ path: '/alarms/vcenter-script', headers, body: scriptBody })).status).toBe(status)
  })

  it('fits one body, one time and the keys of the door, and nothing changed in any of them', async () => {
    const doors = doorsWithQueue()
    const good = signed(doors.clock, scriptBody)
    const hex = good['x-coldframe-signature'].slice(3)
    const ts = Number(good['x-coldframe-timestamp'])
    const changes: readonly Partial<Posted>[] = [
      { body: scriptBody.replace('db-1', 'db-2') },
      { body: `${scriptBody} ` },
      { headers: { ...good, 'x-coldframe-timestamp': String(ts + 1) } },
      { headers: { ...good, 'x-coldframe-timestamp': `0${ts}` } },
      { headers: { ...good, 'x-coldframe-timestamp': '' } },
      { headers: { ...good, 'x-coldframe-signature': `v1=${hex.slice(1)}0` } },
      { headers: { ...good, 'x-coldframe-signature': `v2=${hex}` } },
      { headers: { ...good, 'x-coldframe-signature': hex } },
      // Whoever signs wrongly does not get in by a token either.
      { headers: { ...bearer, 'x-coldframe-signature': 'v1=' } },
    ]
    for (const change of changes) {
      const answer = await doors.handle({ path: '/alarms/vcenter-script', headers: good, body: scriptBody, ...change })
      expect([change, answer.status]).toEqual([change, 401])
    }
    expect(await recordsOf(doors)).toEqual([])
    expect((await doors.handle({ path: '/alarms/vcenter-script', headers: good, body: scriptBody })).status).toBe(202)
  })

  it('keys are changed one after the other: the old one holds until it is taken out', async () => {
    const clock = manualClock()
    let keys = { hmac: ['old-key-old-key-old'] }
    let reads = 0
    const read = async () => {
      reads++
      return JSON.stringify(keys)
    }
    const doors = memoryDoors({ clock, change: { secrets: { read } } })
    const statusWith = async (key: string) =>
      (
        await doors.handle({
          path: '/alarms/vcenter-script',
          headers: signed(clock, scriptBody, { key }),
          body: scriptBody,
        })
      ).status
    expect(await statusWith('old-key-old-key-old')).toBe(202)
    expect(await statusWith('new-key-new-key-new')).toBe(401)
    keys = { hmac: ['old-key-old-key-old', 'new-key-new-key-new'] }
    clock.advance(5_000)
    expect(await statusWith('new-key-new-key-new')).toBe(202)
    keys = { hmac: ['new-key-new-key-new'] }
    clock.advance(60_000)
    expect(await statusWith('old-key-old-key-old')).toBe(401)
    // Whoever knocks without end does not have the secret read without end.
    const before = reads
    for (let knock = 0; knock < 100; knock++) await statusWith('guess-guess-guess-guess')
    expect(reads - before).toBeLessThanOrEqual(1)
  })
})

describe('the same alarm', () => {
  it('told again, updated or by the other door of its source is one record, and answered alike', async () => {
    const doors = doorsWithQueue()
    const ids = new Set<string>()
    for (const [path, method, body] of [
      ['/alarms/vcf-rest', 'POST', vcfRest],
      ['/alarms/vcf-rest', 'POST', vcfRest],
      ['/alarms/vcf-rest', 'PUT', JSON.stringify({ ...alert, updateDate: 1369757999999, info: 'more' })],
      ['/alarms/vcf-webhook', 'POST', JSON.stringify(alert)],
    ] as const) {
      const answer = await doors.handle({ path, method, headers: bearer, body })
      expect(answer.status).toBe(path.endsWith('rest') && method === 'POST' ? 201 : 202)
      ids.add(answer.body.alarmId)
    }
    expect(ids.size).toBe(1)
    expect(await recordsOf(doors)).toHaveLength(1)
  })

  it('signed once is one record within the window, and another one is not', async () => {
    const doors = doorsWithQueue()
    const headers = signed(doors.clock, scriptBody)
    const post = { path: '/alarms/vcenter-script', headers, body: scriptBody }
    const first = (await doors.handle(post)).body.alarmId
    doors.clock.advance(290_000)
    expect((await doors.handle(post)).body.alarmId).toBe(first)
    doors.clock.advance(20_000)
    expect((await doors.handle(post)).status).toBe(401)
    const later = await doors.handle({ ...post, headers: signed(doors.clock, scriptBody) })
    expect(later.body.alarmId).not.toBe(first)
  })

  it('at once, many times, is one record', async () => {
    const doors = doorsWithQueue()
    const posts = Array.from({ length: 50 }, () =>
      doors.handle({ path: '/alarms/vcf-rest', headers: bearer, body: vcfRest }),
    )
    const answers = await Promise.all(posts)
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.alarmId}`)).size).toBe(1)
    expect(await recordsOf(doors)).toHaveLength(1)
  })

  it('whose cancellation comes first is acted on all the same, and a cancellation after it changes nothing', async () => {
    const over = JSON.stringify({ ...alert, status: 'CANCELED' })
    const inOrder = doorsWithQueue()
    const turned = doorsWithQueue()
    for (const [doors, bodies] of [
      [inOrder, [vcfRest, over]],
      [turned, [over, vcfRest]],
    ] as const) {
      for (const body of bodies) await doors.handle({ path: '/alarms/vcf-rest', headers: bearer, body })
      const [record, ...others] = await recordsOf(doors)
      expect(others).toEqual([])
      expect(record).toMatchObject({ alarm: { state: 'raised', to: 'ACTIVE' }, decision: null })
    }
  })

  it('that was written and whose message was not sent is answered with 503, and sent when it is told again', async () => {
    const clock = manualClock()
    const queue = memoryQueue({ clock, receivesMax: 5 })
    let fails = true
    const sender = {
      send: async (...args: Parameters<typeof queue.send>) => {
        if (fails) throw new BackupError('away', { code: 'aws-unreachable', retry: 'later' })
        return queue.send(...args)
      },
    }
    const jobStore = memoryJobStore()
    const doors = memoryDoors({ clock, change: { sender, jobStore } })
    const post = { path: '/alarms/vcf-rest', headers: bearer, body: vcfRest }
    expect((await doors.handle(post)).status).toBe(503)
    // Nobody may tell it again: then watch finds it.
    expect(await jobStore.dueAlarms({ beforeMs: clock.nowMs() + 60_000, limit: 9 }, cancel)).toHaveLength(1)
    fails = false
    const answer = await doors.handle(post)
    expect(answer.status).toBe(201)
    expect(await messagesOf(queue)).toEqual([{ v: 1, kind: 'alarm', alarmId: answer.body.alarmId }])
  })
})
