// Times as vCenter writes them become times as we store them.

import { expect, it } from 'vitest'
import { utcTime } from '../../../lib/adapters/vsphere/vm-state.ts'

it.each([
  ['2030-01-01T00:00:00.123456789Z', '2030-01-01T00:00:00.123Z'],
  ['2030-01-01T02:00:00+02:00', '2030-01-01T00:00:00.000Z'],
  ['2029-12-31T19:00:00.5-05:00', '2030-01-01T00:00:00.500Z'],
  ['2030-01-01T00:00:00', '2030-01-01T00:00:00.000Z'],
  ['', ''],
  ['soon', 'soon'],
])('"%s" is "%s" in UTC', (text, time) => {
  expect(utcTime(text)).toBe(time)
})
