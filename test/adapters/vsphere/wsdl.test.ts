// Our WSDL: made by its generator, quick to load, and its requests in schema order with nothing smuggled in.

import { readFileSync } from 'node:fs'
import { Client, WSDL } from 'soap'
import { describe, expect, it } from 'vitest'
import { encodeArguments } from '../../../lib/adapters/vsphere/encode.ts'
import { elementsOf } from '../../../lib/adapters/vsphere/schema.ts'
import { openSession } from '../../../lib/adapters/vsphere/session.ts'
import { createSnapshot } from '../../../lib/adapters/vsphere/snapshots.ts'
import { anyText, record, ref, typed } from '../../../lib/adapters/vsphere/values.ts'
import { VIM25_WSDL } from '../../../lib/adapters/vsphere/vim25-wsdl.ts'
import { TYPES } from '../../../scripts/wsdl/facts.ts'
import { generate, wsdlPath } from '../../../scripts/wsdl/generate.ts'
import { fault, openScripted } from './scripted-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }
const vm = ref('VirtualMachine', 'vm-1')

describe('the WSDL', () => {
  it('is what its generator writes', () => {
    expect(readFileSync(wsdlPath, 'utf8')).toBe(generate())
  })

  it('loads within 150 ms', async () => {
    const times: number[] = []
    for (let round = 0; round < 5; round++) {
      const startedMs = performance.now()
      const wsdl = await new Promise<WSDL>((resolve, reject) => {
        const made = new WSDL(VIM25_WSDL, 'vim25', {})
        made.onReady((error: unknown) => (error ? reject(error) : resolve(made)))
      })
      expect(new Client(wsdl, 'https://localhost/sdk', {})).toHaveProperty('LoginAsync')
      times.push(performance.now() - startedMs)
    }
    expect(Math.min(...times)).toBeLessThan(150)
  })

  it('is read by us as the facts have it, base types first', () => {
    for (const { name, base, elements } of TYPES) {
      const own = elements.split(' ').flatMap((part) => (part === '' ? [] : [part.replace(/[?:].*$/, '')]))
      const names = elementsOf(name).map((element) => element.name)
      expect(names).toEqual([...(base === null ? [] : elementsOf(base).map((element) => element.name)), ...own])
    }
  })
})

describe('requests', () => {
  it('have their elements in schema order, whatever the order they were given in, also in subtypes', () => {
    const disk = typed('VirtualDisk', {
      capacityInKB: 1024,
      unitNumber: 0,
      backing: typed('VirtualDiskFlatVer2BackingInfo', {
        thinProvisioned: true,
        diskMode: 'persistent',
        fileName: '[ds]',
      }),
      key: -1,
    })
    const spec = record({ deviceChange: [record({ device: disk, operation: 'add' })], name: 'n' })
    const encoded = encodeArguments('ReconfigVM_Task', record({ spec, _this: vm }))
    expect(JSON.stringify(encoded)).toBe(
      JSON.stringify({
        _this: { attributes: { type: 'VirtualMachine' }, $value: 'vm-1' },
        spec: {
          name: 'n',
          deviceChange: [
            {
              operation: 'add',
              device: {
                attributes: { 'xsi:type': 'VirtualDisk' },
                key: -1,
                backing: {
                  attributes: { 'xsi:type': 'VirtualDiskFlatVer2BackingInfo' },
                  fileName: '[ds]',
                  diskMode: 'persistent',
                  thinProvisioned: true,
                },
                unitNumber: 0,
                capacityInKB: 1024,
              },
            },
          ],
        },
      }),
    )
  })

  it('refuse an element that the type does not have', () => {
    expect(() => encodeArguments('Login', record({ _this: vm, user: 'x' }))).toThrow('"user"')
  })

  it('refuse control characters without showing the text', () => {
    const login = record({ _this: vm, userName: 'u', password: 'sec\u0000ret' })
    expect(() => encodeArguments('Login', login)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('sec') }),
    )
  })

  it.each([
    'plain',
    'a<b>&"\'c',
    '<![CDATA[x]]></name><memory>true</memory><name>]]>',
    ' spaces ',
    'ünïcødé 💾',
    'line\nbreak',
  ])('carry the name %j so that a reader finds the same text', async (name) => {
    await using vcenter = await openScripted({ CreateSnapshot_Task: () => fault('NotSupported') })
    await using session = await openSession(vcenter.settings, cancel)
    const request = { vm: vm.value, name, description: '', quiesce: { kind: 'none' } } as const
    await createSnapshot(session, request, cancel).catch(() => undefined)
    const sent = vcenter.asked.find(({ call }) => call === 'CreateSnapshot_Task')?.body ?? ''
    const [, inner = ''] = /name>(.*?)<\/(?:\w+:)?name>/s.exec(sent) ?? []
    expect(unescaped(inner)).toBe(name)
    expect(sent.match(/memory>/g)?.length).toBe(2)
  })

  it('declare the namespaces of the types they name', () => {
    const encoded = encodeArguments(
      'ReconfigVM_Task',
      record({ _this: vm, spec: record({ extraConfig: [record({ key: 'k', value: anyText('<v>') })] }) }),
    )
    expect(JSON.stringify(encoded)).toContain('{"attributes":{"xsi:type":"xsd:string"},"$xml":"&lt;v&gt;"}')
  })
})

function unescaped(text: string): string {
  const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }
  const plain = text.replaceAll(/&#x([0-9A-F]+);/gi, (_all, digits: string) =>
    String.fromCodePoint(Number.parseInt(digits, 16)),
  )
  return plain.replaceAll(/&(lt|gt|quot|apos|amp);/g, (_all, name: string) => entities[name] ?? '')
}
