// The facts behind our WSDL, compared with the metadata that pyVmomi carries: names, order, types, optional or not.

import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { METHODS, TYPES } from '../../scripts/wsdl/facts.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'

const DUMP = `
import json, sys
from pyVmomi import VmomiSupport as V
import pyVmomi
plain = {'string':'string','int':'int','long':'long','short':'short','boolean':'boolean','vmodl.DateTime':'dateTime',
  'anyType':'anyType','vmodl.TypeName':'string','vmodl.PropertyPath':'string','vmodl.MethodName':'string','vmodl.MethodFault':'fault'}
def kind(t):
  many = t.endswith('[]')
  t = t[:-2] if many else t
  if t in plain: k = plain[t]
  elif t in V._managedDefMap or t.endswith('ManagedObject'): k = 'moref'
  elif t in V._dataDefMap: k = V._dataDefMap[t][1]
  else: k = 'string'
  return k + ('[]' if many else '')
def props(p): return [{'name': x[0], 'type': kind(x[1]), 'optional': bool(x[3] & 4)} for x in (p or [])]
types = {v[1]: {'base': V._dataDefMap[v[2]][1] if v[2] in V._dataDefMap else None, 'elements': props(v[4])} for v in V._dataDefMap.values()}
methods = {}
for v in V._managedDefMap.values():
  for m in (v[5] or []):
    methods[m[1]] = [{'name': x[0], 'type': kind(x[1]), 'optional': bool(x[3] & 4)} for x in m[3]]
json.dump({'types': types, 'methods': methods}, sys.stdout)
`

type Element = { readonly name: string; readonly type: string; readonly optional: boolean }
type Metadata = {
  readonly types: Readonly<Record<string, { readonly base: string | null; readonly elements: readonly Element[] }>>
  readonly methods: Readonly<Record<string, readonly Element[]>>
}

function metadata(): Metadata {
  const { stdout, stderr, status } = spawnSync(requirePeer('pyvmomi'), ['-c', DUMP], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (status !== 0) throw new Error(stderr)
  const parsed: Metadata = JSON.parse(stdout)
  return parsed
}

function parsed(elements: string): readonly Element[] {
  return elements.split(' ').flatMap((part) => {
    const [, name = '', optional, type = ''] = /^(\w+)(\?)?:(.+)$/.exec(part) ?? []
    return name === '' ? [] : [{ name, type, optional: optional === '?' }]
  })
}

/** pyVmomi carries faults unwrapped, and newer elements as optional ones. */
function expectSame(where: string, ours: readonly Element[], theirs: readonly Element[]): void {
  const known = new Map(theirs.map((element, index) => [element.name, { ...element, index }]))
  let last = -1
  for (const { name, type } of ours) {
    const their = known.get(name)
    expect(their, `${where}.${name} exists`).toBeDefined()
    if (their === undefined) continue
    expect(their.index, `${where}.${name} comes after the one before it`).toBeGreaterThan(last)
    last = their.index
    const wrapped = type === 'LocalizedMethodFault'
    if (!wrapped && !(their.type === 'string' && /^[A-Z]/.test(type)))
      expect(`${where}.${name}: ${type}`).toBe(`${where}.${name}: ${their.type}`)
  }
}

describe.skipIf(peerSkip('pyvmomi'))('the WSDL facts', () => {
  it('agree with pyVmomi on every type: base, names, order and types', () => {
    const { types } = metadata()
    // Types that have no counterpart there: arrays of anyType, and faults, whose base we leave out.
    for (const { name, elements } of TYPES.filter(
      (type) => !type.name.startsWith('ArrayOf') && type.name !== 'LocalizedMethodFault',
    )) {
      const theirs = types[name]
      expect(theirs, `${name} exists`).toBeDefined()
      expectSame(name, parsed(elements), theirs?.elements ?? [])
    }
  })

  it('agree with pyVmomi on every subtype that we send', () => {
    const { types } = metadata()
    for (const { name, base } of TYPES) {
      if (base === null || base === 'MethodFault') continue
      expect(`${name} extends ${types[name]?.base}`).toBe(`${name} extends ${base}`)
    }
  })

  it('agree with pyVmomi on every method: parameters in order, optional or not', () => {
    const { methods } = metadata()
    for (const { name, parameters } of METHODS) {
      const ours = parsed(parameters)
      expectSame(name, ours, methods[name] ?? [])
      expect(ours.map((element) => element.name)).toEqual((methods[name] ?? []).map((element) => element.name))
    }
  })
})
