// Where a guest may be reached: the addresses that VMware Tools report, filtered by subnets and ranked. Pure.

import type { VmState } from './vm.ts'

/** A subnet as bits: the first `prefix` of them must agree. */
export type Subnet = { readonly bits: string; readonly prefix: number }

export type GuestAddress = {
  readonly address: string
  /** Why it is tried late, in words; null for an address like any other. */
  readonly doubt: string | null
}

export type AddressChoice = {
  /** In the order in which they are tried. */
  readonly addresses: readonly GuestAddress[]
  /** Those that are not tried, and why. */
  readonly left: readonly { readonly address: string; readonly reason: string }[]
}

/** How many addresses of one guest are tried; Tools report every container's on a busy host. */
export const ADDRESSES_MAX = 8
/** How many of those that are not tried are told one by one. */
const LEFT_MAX = 12

/**
 * Chooses from what Tools report. Loopback, unspecified, multicast and IPv6 link-local addresses cannot be used from outside;
 * IPv4 link-local and addresses that look like a container bridge's are tried last.
 */
export function chooseAddresses(
  guest: Pick<VmState['guest'], 'ipAddresses' | 'nics'>,
  subnets: { readonly only: readonly string[]; readonly none: readonly string[] },
): AddressChoice {
  const only = subnets.only.map(parseSubnet)
  const none = subnets.none.map(parseSubnet)
  const left: { readonly address: string; readonly reason: string }[] = []
  const kept: GuestAddress[] = []
  for (const address of new Set([...guest.ipAddresses, ...guest.nics.flatMap((nic) => nic.addresses)])) {
    const bits = bitsOf(address)
    const reason =
      bits === null
        ? 'it is no IP address'
        : (unusable(bits) ??
          (none.some((subnet) => subnet !== null && isIn(bits, subnet))
            ? 'the policy excludes its subnet'
            : only.length > 0 && !only.some((subnet) => subnet !== null && isIn(bits, subnet))
              ? 'it is in none of the subnets of the policy'
              : null))
    if (reason !== null) left.push({ address, reason })
    else kept.push({ address, doubt: doubtOf(address, bits ?? '', guest.nics) })
  }
  const ranked = [...kept.filter(({ doubt }) => doubt === null), ...kept.filter(({ doubt }) => doubt !== null)]
  for (const { address } of ranked.slice(ADDRESSES_MAX))
    left.push({ address, reason: `only the first ${ADDRESSES_MAX} addresses are tried` })
  const told = left.slice(0, LEFT_MAX)
  const more = left.length - told.length
  const [first] = left.slice(LEFT_MAX)
  if (first !== undefined && more > 0)
    told.push({ address: first.address, reason: more === 1 ? first.reason : `it and ${more - 1} more are not tried` })
  return { addresses: ranked.slice(0, ADDRESSES_MAX), left: told }
}

/** "192.0.2.0/24", "2001:db8::/32" or one address; null when it is none of these. */
export function parseSubnet(text: string): Subnet | null {
  const [address = '', length, more] = text.split('/')
  const bits = bitsOf(address)
  if (bits === null || more !== undefined) return null
  if (length === undefined) return { bits, prefix: bits.length }
  if (!/^[0-9]{1,3}$/.test(length) || Number(length) > bits.length) return null
  return { bits, prefix: Number(length) }
}

function isIn(bits: string, { bits: own, prefix }: Subnet): boolean {
  return bits.length === own.length && bits.slice(0, prefix) === own.slice(0, prefix)
}

function within(bits: string, subnet: string): boolean {
  const parsed = parseSubnet(subnet)
  return parsed !== null && isIn(bits, parsed)
}

function unusable(bits: string): string | null {
  if (['127.0.0.0/8', '::1/128'].some((subnet) => within(bits, subnet))) return 'it is the guest itself (loopback)'
  if (['0.0.0.0/8', '::/128', '224.0.0.0/3', 'ff00::/8'].some((subnet) => within(bits, subnet)))
    return 'it is no address of one host'
  // Its zone is a name inside the guest; from outside it would need an interface of ours.
  if (within(bits, 'fe80::/10')) return 'it is link-local'
  return null
}

/** Docker's and Podman's bridges: 172.17 to 172.31 and 10.88, on no network of vSphere; Docker's MAC prefix is 02:42. */
function doubtOf(address: string, bits: string, nics: VmState['guest']['nics']): string | null {
  if (within(bits, '169.254.0.0/16')) return 'link-local'
  const nic = nics.find((each) => each.addresses.includes(address))
  if (nic === undefined) return null
  if (/^02:42:/i.test(nic.macAddress ?? '')) return 'a container bridge'
  const bridgeLike = ['172.17.0.0/16', '172.16.0.0/12', '10.88.0.0/16', '192.168.122.0/24'].some((each) =>
    within(bits, each),
  )
  if (nic.network === null && bridgeLike) return 'a container bridge'
  return nic.connected || nic.network === null ? null : 'on a disconnected network card'
}

/** An address as a string of 32 or 128 binary digits; null when it is none. A zone ("%eth0") is left out. */
function bitsOf(text: string): string | null {
  const address = text.replace(/%.*$/, '')
  return address.includes(':') ? bitsOfV6(address) : bitsOfV4(address)
}

function bitsOfV4(text: string): string | null {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^[0-9]{1,3}$/.test(part) && Number(part) <= 255)) return null
  return parts.map((part) => Number(part).toString(2).padStart(8, '0')).join('')
}

function bitsOfV6(text: string): string | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const [head, tail] = halves.map(groupsOf)
  if (head === undefined || head === null || tail === null) return null
  const given = head.length + (tail?.length ?? 0)
  if (tail === undefined ? given !== 8 : given > 7) return null
  const groups = [...head, ...Array<string>(8 - given).fill('0'), ...(tail ?? [])]
  return groups.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('')
}

/** An IPv4 address may stand for the last two groups (RFC 4291, 2.2). */
function groupsOf(half: string): string[] | null {
  if (half === '') return []
  const groups = half.split(':')
  const last = groups.at(-1) ?? ''
  if (last.includes('.')) {
    const bits = bitsOfV4(last)
    if (bits === null) return null
    groups.splice(-1, 1, ...[bits.slice(0, 16), bits.slice(16)].map((each) => Number.parseInt(each, 2).toString(16)))
  }
  return groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) ? groups : null
}
