// Every dialect on what its source sends, on placeholders that nobody filled in, and on nonsense.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BackupError } from '../../../lib/base/errors.ts'
import { ALARM_TEXT_MAX } from '../../../lib/model/alarm.ts'
import { alarmDialects } from '../../../lib/wire/alarms/dialects.ts'
import { parseDoorSecret } from '../../../lib/wire/alarms/door-secret.ts'
import { kindOfMoref, timeOf } from '../../../lib/wire/alarms/fields.ts'
import { alarmStatusChanged, ceHeaders, script, snmp, vcfRest, vmAlarm } from './payloads.ts'

/** As a template engine leaves one that it does not know. */
const placeholder = (name: string) => ['$', '{', name, '}'].join('')

function parse(dialect: string, body: unknown, headers: Readonly<Record<string, string>> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const contentType = headers['content-type'] ?? 'application/json'
  const parser = alarmDialects[dialect]
  if (parser === undefined) throw new Error(`no dialect "${dialect}"`)
  return parser({ contentType, headers, text })
}

function codeOf(act: () => unknown): string {
  try {
    act()
    return 'read'
  } catch (error) {
    if (error instanceof BackupError) return error.code
    throw error
  }
}

describe('vcf-rest', () => {
  it('reads the body of the REST plug-in', () => {
    expect(parse('vcf-rest', vcfRest)).toEqual({
      source: 'vcf-operations',
      key: 'sample-alert-uuid',
      vcenterId: null,
      alarmName: 'Invalid IP Address for connected Leaf Switch',
      state: 'raised',
      from: null,
      to: 'ACTIVE',
      criticality: 'ALERT_CRITICALITY_LEVEL_WARNING',
      target: { moref: null, instanceUuid: null, name: 'sample-object-name', kind: 'sample-object-type' },
      message: 'sample-info',
      occurredAt: '2013-05-28T16:09:06.267Z',
    })
  })

  it('knows a cancelled alert by its status alone: the active one has a cancelDate, too', () => {
    const alert = JSON.parse(vcfRest)
    expect(parse('vcf-rest', { ...alert, status: 'CANCELED' })).toMatchObject({ state: 'cleared' })
    expect(parse('vcf-rest', { ...alert, attributeKeyID: undefined })).toMatchObject({ state: 'raised' })
  })
})

describe('vcf-webhook', () => {
  const template = readFile(join(import.meta.dirname, '../../../docs/alarms/vcf-webhook-template.json'), 'utf8')
  const filled = (text: string, values: Readonly<Record<string, string>>) =>
    text.replace(/\$\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)

  it('reads our template with its placeholders filled in', async () => {
    const values = {
      ALERT_ID: 'a-1',
      ALERT_DEFINITION: 'Ransomware suspected',
      ALERT_CRITICALITY: 'CRITICAL',
      ALERT_STATUS: 'NEW',
      CREATE_TIME: '1769157346267',
      RESOURCE_NAME: 'db-1',
      RESOURCE_KIND: 'VirtualMachine',
    }
    expect(parse('vcf-webhook', filled(await template, values))).toMatchObject({
      key: 'a-1',
      alarmName: 'Ransomware suspected',
      state: 'raised',
      criticality: 'CRITICAL',
      target: { name: 'db-1', kind: 'VirtualMachine' },
      occurredAt: '2026-01-23T08:35:46.267Z',
    })
  })

  it('takes placeholders that came as they are for missing, and refuses an alert without a name', async () => {
    const only = filled(await template, { ALERT_DEFINITION: 'Ransomware suspected' })
    expect(parse('vcf-webhook', only)).toMatchObject({
      key: null,
      state: 'raised',
      criticality: null,
      target: { moref: null, instanceUuid: null, name: null, kind: null },
      occurredAt: null,
    })
    expect(codeOf(() => parse('vcf-webhook', JSON.stringify({ alertName: placeholder('ALERT_DEFINITION') })))).toBe(
      'alarm-malformed',
    )
  })

  it('reads symptoms as text, as the object that 9.1 puts there, or not at all', () => {
    const symptoms = {
      definedOn: 'SELF',
      symptoms: [
        { name: 'Guest', resourceName: 'db-1', resourceId: 'u', metricName: 'm', messageInfo: 'Many renames' },
      ],
      conditions: [],
    }
    const message = (value: unknown) => parse('vcf-webhook', { alertName: 'A', symptoms: value }).message
    expect(message(symptoms)).toBe('Many renames')
    expect(message('[text]')).toBe('[text]')
    expect(message(placeholder('SYMPTOMS'))).toBeNull()
    expect(message({ symptoms: [] })).toBeNull()
  })
})

describe('cloudevents', () => {
  it('reads the binary form of VEBA, about the object that changed', () => {
    expect(parse('cloudevents', alarmStatusChanged, ceHeaders)).toMatchObject({
      source: 'cloudevents',
      key: JSON.stringify(['https://vcenter.example.com/sdk', 'a3f1c7de-0001']),
      alarmName: 'VEBA-DATASTORE-WARN',
      state: 'raised',
      from: 'gray',
      to: 'yellow',
      target: { moref: 'datastore-13', name: 'sm-vsanDatastore', kind: 'Datastore' },
      message: "Alarm 'VEBA-DATASTORE-WARN' on sm-vsanDatastore changed from Gray to Yellow",
      occurredAt: '2021-06-30T13:57:22.611Z',
    })
  })

  it('uses Entity, never Source, which is where the alarm is defined', () => {
    expect(parse('cloudevents', vmAlarm, ceHeaders).target).toEqual({
      moref: 'vm-101',
      instanceUuid: null,
      name: 'db-1',
      kind: 'VirtualMachine',
    })
    const { Entity: _, ...without } = vmAlarm
    expect(parse('cloudevents', without, ceHeaders).target).toMatchObject({ moref: null, name: null })
  })

  it('reads the same from names that begin with a small letter', () => {
    const small = (value: unknown): unknown =>
      typeof value === 'object' && value !== null
        ? Object.fromEntries(
            Object.entries(value).map(([name, of]) => [name[0]?.toLowerCase() + name.slice(1), small(of)]),
          )
        : value
    expect(parse('cloudevents', small(vmAlarm), ceHeaders)).toEqual(parse('cloudevents', vmAlarm, ceHeaders))
  })

  it('reads the structured form, and that of the older router', () => {
    const about = { specversion: '1.0', id: '7', source: 'https://vc/sdk', time: '2026-03-01T10:00:01Z' }
    const newer = { ...about, type: ceHeaders['ce-type'], data: vmAlarm }
    expect(
      parse('cloudevents', newer, { 'content-type': 'application/cloudevents+json; charset=utf-8' }),
    ).toMatchObject({
      alarmName: 'Ransomware suspected',
      key: '["https://vc/sdk","7"]',
    })
    const router = { ...about, type: 'com.vmware.event.router/event', subject: 'VmPoweredOffEvent' }
    const data = {
      CreatedTime: '2026-03-01T10:00:00Z',
      Vm: vmAlarm.Vm,
      FullFormattedMessage: 'db-1 on esx-1 is powered off',
    }
    expect(parse('cloudevents', { ...router, data })).toMatchObject({
      alarmName: 'VmPoweredOffEvent',
      state: 'raised',
      target: { moref: 'vm-101', kind: 'VirtualMachine' },
    })
  })

  it('refuses what is no event, a batch, XML, and another version', () => {
    expect(codeOf(() => parse('cloudevents', vmAlarm))).toBe('alarm-malformed')
    expect(codeOf(() => parse('cloudevents', vmAlarm, { ...ceHeaders, 'ce-specversion': '0.3' }))).toBe(
      'alarm-malformed',
    )
    expect(codeOf(() => parse('cloudevents', vmAlarm, { ...ceHeaders, 'ce-id': '' }))).toBe('alarm-malformed')
    for (const type of ['application/cloudevents-batch+json', 'application/xml', '']) {
      expect(codeOf(() => parse('cloudevents', vmAlarm, { ...ceHeaders, 'content-type': type }))).toBe(
        'alarm-content-type',
      )
    }
  })
})

describe('vcenter-script', () => {
  it('reads what the script posts', () => {
    expect(parse('vcenter-script', script)).toMatchObject({
      key: null,
      alarmName: 'Ransomware suspected',
      state: 'raised',
      from: 'Green',
      to: 'Red',
      criticality: 'Red',
      target: { moref: 'vm-101', name: 'db-1', kind: 'VirtualMachine' },
    })
    expect(parse('vcenter-script', { ...script, to: 'Green' })).toMatchObject({ state: 'cleared' })
    expect(parse('vcenter-script', { ...script, targetId: 'host-9' }).target.kind).toBe('HostSystem')
    expect(codeOf(() => parse('vcenter-script', { ...script, targetId: '', targetName: '' }))).toBe('alarm-malformed')
  })

  it.each([
    ['vm-101', 'VirtualMachine'],
    ['host-1009', 'HostSystem'],
    ['domain-c8', 'ClusterComputeResource'],
    ['group-v3', 'Folder'],
    ['resgroup-9', 'ResourcePool'],
    ['something-else', null],
    ['constructor-1', null],
    [null, null],
  ])('kindOfMoref(%s) is %s', (moref, kind) => expect(kindOfMoref(moref)).toBe(kind))
})

describe('snmp', () => {
  it('reads the variables of a trap; the alarm is named before its value', () => {
    expect(parse('snmp', snmp)).toMatchObject({
      source: 'snmp',
      alarmName: 'Mem > 80%25 - Tests',
      state: 'raised',
      to: 'Yellow',
      target: { moref: null, name: 'db-1', kind: 'VirtualMachine' },
    })
    expect(parse('snmp', { ...snmp, objectType: '2' }).target.kind).toBe('HostSystem')
    expect(parse('snmp', { ...snmp, objectType: '1' }).target.kind).toBeNull()
    expect(parse('snmp', { ...snmp, message: 'Ransomware suspected' }).alarmName).toBe('Ransomware suspected')
    expect(parse('snmp', { ...snmp, newStatus: 'Green' })).toMatchObject({ state: 'cleared' })
    expect(parse('snmp', { ...snmp, objectType: 'valueOf' }).target.kind).toBeNull()
    // A vCenter of another language.
    expect(parse('snmp', { ...snmp, newStatus: 'Rot' })).toMatchObject({ state: 'unknown' })
  })
})

describe('every dialect', () => {
  const good: Readonly<Record<string, unknown>> = {
    'vcf-rest': JSON.parse(vcfRest),
    'vcf-webhook': JSON.parse(vcfRest),
    cloudevents: { specversion: '1.0', id: '7', source: 's', type: ceHeaders['ce-type'], data: vmAlarm },
    'vcenter-script': script,
    snmp,
  }

  it('refuses the words of another', () => {
    for (const dialect of Object.keys(alarmDialects)) {
      for (const [other, body] of Object.entries(good)) {
        if (other === dialect || (other.startsWith('vcf') && dialect.startsWith('vcf'))) continue
        expect([dialect, other, codeOf(() => parse(dialect, body))]).toEqual([dialect, other, 'alarm-malformed'])
      }
    }
  })

  it('reads nonsense or refuses it, and keeps nothing that is longer or stranger than text may be', () => {
    const names = Object.keys(alarmDialects)
    const strange = fc.oneof(
      fc.jsonValue(),
      fc.string({ unit: 'binary' }),
      fc.constant('x'.repeat(5_000)),
      fc.bigInt().map(String),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        fc.array(strange, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        (dialect, values, at) => {
          const body = good[dialect]
          const members = Object.entries(typeof body === 'object' && body !== null ? body : {})
          const mixed = Object.fromEntries(
            members.map(([name, value], index) => [
              name,
              (index + at) % 3 === 0 ? values[index % values.length] : value,
            ]),
          )
          let told: ReturnType<typeof parse>
          try {
            told = parse(dialect, mixed)
          } catch (error) {
            expect(error).toBeInstanceOf(BackupError)
            return
          }
          for (const text of [
            told.alarmName,
            told.from,
            told.to,
            told.criticality,
            told.message,
            ...Object.values(told.target),
          ]) {
            expect([...(text ?? '')].length).toBeLessThanOrEqual(ALARM_TEXT_MAX)
            expect(text ?? '').not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
          }
          if (told.occurredAt !== null) expect(new Date(told.occurredAt).toISOString()).toBe(told.occurredAt)
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('refuses text that is no JSON object', () => {
    for (const dialect of Object.keys(alarmDialects))
      for (const text of ['', '{', '[]', 'null', '"x"', '7', '<alert/>'])
        expect([dialect, text, codeOf(() => parse(dialect, text))]).toEqual([dialect, text, 'alarm-malformed'])
  })
})

describe('timeOf()', () => {
  it.each([
    [1369757346267, '2013-05-28T16:09:06.267Z'],
    ['1369757346267', '2013-05-28T16:09:06.267Z'],
    ['2026-03-01T10:00:00+01:00', '2026-03-01T09:00:00.000Z'],
    ['Sun Mar 01 10:00:00 UTC 2026', '2026-03-01T10:00:00.000Z'],
    ['Sun Mar 01 10:00:00 CET 2026', null],
    ['yesterday', null],
    [placeholder('CREATE_TIME'), null],
    [null, null],
  ])('takes %s for %s', (value, time) => expect(timeOf(value)).toBe(time))
})

describe('parseDoorSecret()', () => {
  it('reads several keys of each kind, and names what is wrong without telling the secret', () => {
    const keys = {
      hmac: ['0123456789abcdef', 'another-key-for-rotation'],
      basic: [{ user: 'u', password: '0123456789abcdef' }],
    }
    expect(parseDoorSecret(JSON.stringify(keys), 'door/snmp')).toEqual({ ...keys, bearer: [] })
    for (const text of ['short', '{"hmac":["hunter2"]}', '{"hmac":"0123456789abcdef"}', '{"token":"hunter2"}']) {
      expect(() => parseDoorSecret(text, 'door/snmp')).toThrow(
        /^Cannot use secret "door\/snmp": (?!.*hunter2)(?!.*short)/,
      )
    }
  })
})
