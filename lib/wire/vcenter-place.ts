// Where a vCenter is and what it is known by, as an operator writes both. Each fault is one line.

import { quote } from '../base/errors.ts'

/** A value and the name an operator knows it by. */
type Given = { readonly name: string; readonly text: string }

/** @returns "https://host[:port]/sdk"; null with a fault */
export function vcenterUrlOf({ name, text }: Given, faults: string[]): string | null {
  const url = URL.parse(text)
  if (url !== null && (url.username !== '' || url.password !== '')) {
    faults.push(`${name} holds an account: give it as COLDFRAME_VCENTER_USER and COLDFRAME_VCENTER_PASSWORD instead`)
    return null
  }
  if (url === null || url.protocol !== 'https:' || url.search !== '' || url.hash !== '') {
    faults.push(`${name} is ${quote(text)}: must be https://host[:port][/sdk]`)
    return null
  }
  if (!['', '/', '/sdk', '/sdk/'].includes(url.pathname)) {
    faults.push(`${name} is ${quote(text)}: the path must be /sdk or nothing`)
    return null
  }
  return `${url.origin}/sdk`
}

/** @returns the SHA-256 as 64 lower-case hex digits; null with a fault */
export function thumbprintOf({ name, text }: Given, faults: string[]): string | null {
  const sha256 = text
    .replaceAll(/[:\s-]/g, '')
    .replace(/^sha256/i, '')
    .toLowerCase()
  if (/^[0-9a-f]{64}$/.test(sha256)) return sha256
  const sha1 = /^[0-9a-f]{40}$/.test(sha256) ? ' (this is a SHA-1 thumbprint)' : ''
  faults.push(`${name} is ${quote(text)}: must be a SHA-256 of 64 hex digits${sha1}`)
  return null
}
