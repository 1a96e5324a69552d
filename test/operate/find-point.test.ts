import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findPoint } from '../../lib/operate/find-point.ts'
import { pointOf, refusalOf, unreadableOf, vmOne, vmTwo } from './points.ts'

const first = pointOf({ id: 'aaaa1', vm: 'web-01', sequence: 1 })
const second = pointOf({ id: 'aaaa2', vm: 'web-01', sequence: 2 })
const other = pointOf({ id: 'bbbb1', vm: 'db-01', vmId: vmTwo, sequence: 1 })
const known = { points: [first, second, other], unreadable: [] }

describe('a point is found', () => {
  it.each([
    ['aaaa1', first],
    ['AAAA2', second],
    ['bbbb', other],
    ['web-01@1', first],
    ['web-01@latest', second],
    [`${vmTwo}@1`, other],
    [`${vmOne.toUpperCase()}@latest`, second],
  ])('by "%s"', (text, point) => {
    expect(findPoint(text, known)).toBe(point)
  })

  it('whatever the order in which points are listed', () => {
    const points = [1, 2, 3, 10, 11].map((sequence) => pointOf({ id: `c${sequence}`, vm: 'a', sequence }))
    fc.assert(
      fc.property(fc.shuffledSubarray(points, { minLength: 1 }), (some) => {
        const newest = Math.max(...some.map(({ envelope }) => envelope.sequence))
        expect(findPoint('a@latest', { points: some, unreadable: [] }).envelope.sequence).toBe(newest)
      }),
    )
  })

  it('of a VM with an "@" in its name', () => {
    const odd = pointOf({ id: 'dddd', vm: 'a@1@latest', sequence: 7 })
    expect(findPoint('a@1@latest@7', { points: [odd], unreadable: [] })).toBe(odd)
  })

  it('by an older name of a VM that was renamed, as far as that name goes', () => {
    const renamed = pointOf({ id: 'eeee', vm: 'web-new', sequence: 3 })
    const points = [first, second, renamed]
    expect(findPoint('web-01@latest', { points, unreadable: [] })).toBe(second)
    expect(findPoint('web-new@latest', { points, unreadable: [] })).toBe(renamed)
  })
})

describe('nothing is guessed', () => {
  it('a beginning that several points share is ambiguous', () => {
    expect(refusalOf(() => findPoint('aaaa', known))).toMatchObject({ code: 'point-ambiguous', kind: 'not-found' })
  })

  it('a name that two VMs have is ambiguous, and their uuids are not', () => {
    const twin = pointOf({ id: 'ffff', vm: 'web-01', vmId: vmTwo, sequence: 2 })
    const both = { points: [first, second, twin], unreadable: [] }
    expect(refusalOf(() => findPoint('web-01@latest', both)).code).toBe('point-ambiguous')
    expect(refusalOf(() => findPoint('web-01@2', both)).code).toBe('point-ambiguous')
    expect(findPoint(`${vmTwo}@latest`, both)).toBe(twin)
  })

  it('an unknown VM names near ones, an unknown number those there are', () => {
    expect(refusalOf(() => findPoint('web-1@latest', known)).hint).toContain('"web-01"')
    expect(refusalOf(() => findPoint('web-01@9', known))).toMatchObject({ code: 'point-not-found', kind: 'not-found' })
    expect(refusalOf(() => findPoint('web-01@9', known)).hint).toContain('1, 2')
  })

  it('a bare name says how to go on', () => {
    expect(refusalOf(() => findPoint('web-01', known))).toMatchObject({ code: 'point-malformed', kind: 'usage' })
    expect(refusalOf(() => findPoint('web-01', known)).hint).toContain('"web-01@latest"')
  })

  it('three digits are too few to be an id', () => {
    expect(refusalOf(() => findPoint('bbb', known)).kind).toBe('usage')
  })
})

describe('an unreadable point is not passed over', () => {
  it('"latest" refuses when a newer point than the newest readable one is there', () => {
    const damaged = { ...known, unreadable: [unreadableOf({ vmId: vmOne, sequence: 3 })] }
    expect(refusalOf(() => findPoint('web-01@latest', damaged))).toMatchObject({ code: 'integrity', kind: 'integrity' })
    expect(findPoint('web-01@2', damaged)).toBe(second)
    expect(findPoint('db-01@latest', damaged)).toBe(other)
  })

  it('an older damaged point does not keep the newest back', () => {
    const damaged = { points: [second], unreadable: [unreadableOf({ vmId: vmOne, sequence: 1 })] }
    expect(findPoint('web-01@latest', damaged)).toBe(second)
    expect(refusalOf(() => findPoint('web-01@1', damaged)).code).toBe('integrity')
  })

  it('a VM all of whose points are damaged is found by its uuid', () => {
    const damaged = { points: [], unreadable: [unreadableOf({ vmId: vmOne, sequence: 1 })] }
    expect(refusalOf(() => findPoint(`${vmOne}@latest`, damaged)).code).toBe('integrity')
    expect(refusalOf(() => findPoint(`${vmOne}@1`, damaged)).code).toBe('integrity')
  })
})
