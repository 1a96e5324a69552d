// Which addresses of a guest are tried, and in which order.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ADDRESSES_MAX, chooseAddresses, parseSubnet } from '../../lib/model/guest-address.ts'
import type { GuestNic } from '../../lib/model/vm.ts'

const anywhere = { only: [], none: [] }

function nic(addresses: readonly string[], change: Partial<GuestNic> = {}): GuestNic {
  return { network: 'VM Network', macAddress: '00:50:56:01:02:03', connected: true, addresses, ...change }
}

function chosen(ipAddresses: readonly string[], nics: readonly GuestNic[] = [], subnets = anywhere) {
  return chooseAddresses({ ipAddresses, nics }, subnets).addresses.map(({ address }) => address)
}

describe('chooseAddresses()', () => {
  it('keeps the order of VMware Tools, and each address once', () => {
    expect(chosen(['192.0.2.11', '2001:db8::11'], [nic(['192.0.2.11', '198.51.100.4'])])).toEqual([
      '192.0.2.11',
      '2001:db8::11',
      '198.51.100.4',
    ])
  })

  it('tries link-local addresses and container bridges last', () => {
    const bridges = [
      nic(['172.17.0.1'], { network: null, macAddress: '02:42:ac:11:00:01' }),
      nic(['10.88.0.1'], { network: null, macAddress: null }),
    ]
    const own = nic(['172.20.1.5', '169.254.3.4'])
    expect(chosen(['172.17.0.1', '10.88.0.1', '169.254.3.4', '172.20.1.5'], [...bridges, own])).toEqual([
      '172.20.1.5',
      '172.17.0.1',
      '10.88.0.1',
      '169.254.3.4',
    ])
  })

  it('says why an address is not tried', () => {
    const { addresses, left } = chooseAddresses(
      {
        ipAddresses: [
          '127.0.0.1',
          '::1',
          'fe80::1%eth0',
          '0.0.0.0',
          'ff02::1',
          'nonsense',
          '192.0.2.9',
          '198.51.100.1',
        ],
        nics: [],
      },
      { only: ['192.0.2.0/24', '198.51.100.0/24'], none: ['198.51.100.0/28'] },
    )
    expect(addresses).toEqual([{ address: '192.0.2.9', doubt: null }])
    expect(left.map(({ address, reason }) => `${address}: ${reason}`)).toEqual([
      '127.0.0.1: it is the guest itself (loopback)',
      '::1: it is the guest itself (loopback)',
      'fe80::1%eth0: it is link-local',
      '0.0.0.0: it is no address of one host',
      'ff02::1: it is no address of one host',
      'nonsense: it is no IP address',
      '198.51.100.1: the policy excludes its subnet',
    ])
    expect(
      chooseAddresses({ ipAddresses: ['203.0.113.1'], nics: [] }, { only: ['192.0.2.0/24'], none: [] }).left,
    ).toEqual([{ address: '203.0.113.1', reason: 'it is in none of the subnets of the policy' }])
  })

  it('bounds how many are tried', () => {
    const many = Array.from({ length: 40 }, (_, index) => `192.0.2.${index + 1}`)
    const { addresses, left } = chooseAddresses({ ipAddresses: many, nics: [] }, anywhere)
    expect(addresses).toHaveLength(ADDRESSES_MAX)
    expect(left).toHaveLength(13)
    expect(left.at(-1)?.reason).toBe('it and 19 more are not tried')
  })

  it('prefers a connected card', () => {
    expect(chosen(['192.0.2.1', '192.0.2.2'], [nic(['192.0.2.1'], { connected: false }), nic(['192.0.2.2'])])).toEqual([
      '192.0.2.2',
      '192.0.2.1',
    ])
  })
})

describe('parseSubnet()', () => {
  it('knows both families, and refuses what is none', () => {
    for (const good of [
      '192.0.2.0/24',
      '10.0.0.0/8',
      '192.0.2.1',
      '2001:db8::/32',
      '::/0',
      '::ffff:192.0.2.1',
      '1:2:3:4:5:6:7:8',
    ])
      expect([good, parseSubnet(good) !== null]).toEqual([good, true])
    for (const bad of [
      '',
      '192.0.2',
      '192.0.2.256',
      '192.0.2.0/33',
      '192.0.2.0/',
      '1:2:3',
      '1::2::3',
      '2001:db8::/129',
      'g::1',
      '1.2.3.4/8/8',
      '1:2:3:4:5:6:7::8',
    ])
      expect([bad, parseSubnet(bad) !== null]).toEqual([bad, false])
  })

  it('never throws, whatever the text', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseSubnet(text)))
    fc.assert(fc.property(fc.ipV4(), (text) => void expect(parseSubnet(text)).not.toBeNull()))
    fc.assert(fc.property(fc.ipV6(), (text) => void expect(parseSubnet(text)?.bits).toMatch(/^[01]{128}$/)))
  })
})
