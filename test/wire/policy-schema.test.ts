// The published JSON Schema, judged by an independent validator: it takes what the reader takes, and refuses what editors can refuse.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readPolicy } from '../../lib/wire/policy.ts'
import { policySchema } from '../../lib/wire/policy-schema.ts'

const root = join(import.meta.dirname, '..', '..')
const published: unknown = JSON.parse(readFileSync(join(root, 'docs', 'policy.schema.json'), 'utf8'))
const validate = new Ajv2020({ strict: true, strictRequired: false, allErrors: true }).compile(policySchema())
const sha256 = 'ab'.repeat(32)

const good: readonly string[] = [
  readFileSync(join(root, 'events', 'policy.yaml'), 'utf8'),
  'name: default',
  'name: a\nselect: {any: [{name: "*"}], all: [{tag: backup/gold}], none: [{folder: /DC/lab}]}\ndisks: {exclude: ["scratch*"]}',
  'name: a\nschedule: {cron: "0 22 * * *", timeZone: Europe/Berlin, window: {close: "06:00"}}',
  'name: a\nschedule: {cron: "*/30 8-18 * JAN,FEB MON-FRI", jitter: 5m}',
  'name: a\nschedule: {every: 6h, window: {open: "20:00", close: "06:00"}}',
  'name: a\nschedule: {rpo: 4h}',
  'name: a\nalarms: {rules: [{alarm: "*ransom*", criticality: [red], action: backup+quarantine, storage: false}], debounce: 1h, budgetPerDay: 3}',
  'name: a\nconsistency: {want: application, require: crash, vss: {backupType: full, allowTruncationBeforeCommit: true, timeout: 6m}}',
  `name: a
guest: {mode: require, credentials: c, subnets: {only: [10.0.0.0/8]}, overrides: [{match: {name: x}, credentials: d}]}
scripts:
  freezeLimit: 30s
  linux:
    preFreeze: {bundle: scripts/a.tgz, sha256: "${sha256}", entry: a/freeze.SH, timeout: 5m, successCodes: [0, 3], elevated: true}
    postThaw: {bundle: scripts/a.tgz, sha256: "${sha256}", entry: thaw.sh}`,
  'name: a\ntransport: [nbdssl, datastore]\nchangeTracking: {audit: 0.5}\nsnapshot: {ageMax: 12h, growthMax: 50GiB}',
  'name: a\nantiAffinity: {policy: true, tagCategories: [ha]}\nretention: {last: 3, daily: 7, timeZone: UTC}\ncompressionLevel: 3\nattempts: 2',
]

/** What a schema can tell is wrong. */
const wrong: readonly string[] = [
  '',
  'name: Gold!',
  'name: a\nretentoin: {last: 3}',
  'name: a\nselect: {any: []}',
  'name: a\nselect: {any: [{}]}',
  'name: a\nselect: {any: [{tag: gold}]}',
  'name: a\nschedule: {timeZone: UTC}',
  'name: a\nschedule: {cron: "0 22 * * *", rpo: 4h}',
  'name: a\nschedule: {every: 5}',
  'name: a\nschedule: {every: five minutes}',
  'name: a\nschedule: {cron: "0 22 * *"}',
  'name: a\nschedule: {every: 1h, window: {open: "25:00", close: "06:00"}}',
  'name: a\nalarms: {rules: [{alarm: x, action: delete}]}',
  'name: a\nconsistency: {want: perfect}',
  'name: a\nguest: {mode: maybe}',
  'name: a\ntransport: [carrier-pigeon]',
  'name: a\nsnapshot: {growthMax: 50GB}',
  'name: a\nretention: {last: -1}',
  'name: a\ncompressionLevel: 20',
]

/** What only the reader can tell: the schema takes it. */
const subtle: readonly string[] = [
  'name: a\nschedule: {cron: "0 0 31 2 *"}',
  'name: a\nschedule: {cron: "0 0 1 * 1"}',
  'name: a\nschedule: {every: 1h, jitter: 2h}',
  'name: a\nconsistency: {want: crash, require: application}',
  'name: a\nschedule: {rpo: 4h, timeZone: Mars/Base}',
]

describe('docs/policy.schema.json', () => {
  it('is what the reader says: run scripts/policy-schema.ts after a change', () => {
    expect(published).toEqual(policySchema())
  })

  it('describes every key, so that an editor can help', () => {
    const bare: string[] = []
    const walk = (schema: unknown, path: string): void => {
      if (typeof schema !== 'object' || schema === null || !('properties' in schema)) return
      for (const [key, value] of Object.entries(schema.properties ?? {})) {
        const place = `${path}.${key}`
        if (typeof value !== 'object' || value === null) continue
        const isOpen = 'description' in value || 'enum' in value || 'properties' in value || 'pattern' in value
        if (!isOpen && !('type' in value)) bare.push(place)
        walk(value, place)
      }
    }
    walk(published, '')
    expect(bare).toEqual([])
    const top = JSON.parse(JSON.stringify(published))
    for (const key of Object.keys(top.properties)) expect(top.properties[key], key).toHaveProperty('description')
  })
})

describe('the schema and the reader', () => {
  it.each(good)('both take a policy: %s', (text) => {
    expect(readPolicy(text)).toHaveProperty('policy')
    expect(validate(parse(text)), JSON.stringify(validate.errors)).toBe(true)
  })

  it.each(wrong)('both refuse: %s', (text) => {
    expect(readPolicy(text)).toHaveProperty('faults')
    expect(validate(parse(text) ?? {})).toBe(false)
  })

  it.each(subtle)('the reader refuses what the schema cannot tell: %s', (text) => {
    expect(readPolicy(text)).toHaveProperty('faults')
    expect(validate(parse(text)), JSON.stringify(validate.errors)).toBe(true)
  })
})
