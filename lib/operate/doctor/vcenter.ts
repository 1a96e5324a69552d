// The vCenter as a whole: its name, its port, whether it is the one that is trusted, the login, its version, its clock.

import { formatDuration } from '../../base/text.ts'
import type { NetworkPlace, ShownCertificate } from '../../ports/network-probe.ts'
import type { VsphereSession } from '../../ports/vsphere.ts'
import {
  type Check,
  checkOf,
  failed,
  type Learned,
  notChecked,
  ok,
  type Topic,
  type Verdict,
  warning,
} from './check.ts'

/** How a vCenter is recognised, without its secrets. */
export type TrustWish =
  | { readonly kind: 'thumbprint'; readonly sha256: string }
  | { readonly kind: 'ca-file'; readonly path: string }
  | { readonly kind: 'system' }

/** Beyond it, points carry times that mislead; retention and admission compare times of both sides. */
const SKEW_WARNING_MS = 60_000
const SKEW_FAILED_MS = 15 * 60_000

const CERTIFICATE_WARNING_MS = 30 * 24 * 3_600_000

/** The first release whose calls Coldframe speaks ("urn:vim25/6.5"). */
const VERSION_LEAST = 6.5

export function topicsOf({ host, port }: NetworkPlace, user: string) {
  const about = `vCenter "${host}:${port}"`
  const topic = (id: string, tried: string): Topic => ({ id: `vcenter.${id}`, about, tried })
  return {
    name: topic('name', `find an address of "${host}"`),
    port: topic('port', `connect to TCP port ${port}`),
    certificate: topic('certificate', 'compare its certificate with what is trusted'),
    login: topic('login', `log in as "${user}"`),
    version: topic('version', 'read its version'),
    clock: topic('clock', 'compare its clock with ours'),
  }
}

export function nameVerdict(addresses: Learned<readonly string[]>): Verdict {
  return addresses.kind === 'known' ? ok(addresses.value.join(', ')) : addresses.verdict
}

export function portVerdict(connected: Learned<number>): Verdict {
  return connected.kind === 'known'
    ? ok(`answers in ${formatDuration(Math.max(1, connected.value))}`)
    : connected.verdict
}

/** @param shown what the server shows; the session decides, this explains */
export function certificateVerdict(shown: Learned<ShownCertificate>, trust: TrustWish, nowMs: number): Verdict {
  if (shown.kind === 'unknown') return shown.verdict
  const { sha256, mistrust, validUntil, subject } = shown.value
  const found = `SHA-256 fingerprint ${sha256}, for "${subject}"${validUntil === null ? '' : `, valid until ${validUntil}`}`
  if (trust.kind === 'thumbprint') {
    if (digitsOf(sha256) !== digitsOf(trust.sha256)) {
      const next =
        'If the certificate was renewed, compare the new fingerprint on the server itself and pin it (COLDFRAME_VCENTER_THUMBPRINT); else somebody stands between'
      return {
        ...failed(found, next, `the pinned fingerprint ${withColons(trust.sha256)}`),
        code: 'vcenter-thumbprint',
      }
    }
  } else if (trust.kind === 'system' && mistrust !== null) {
    const next = `Compare the fingerprint on the server itself, then set COLDFRAME_VCENTER_THUMBPRINT=${sha256}, or name its CA in COLDFRAME_VCENTER_CA_FILE`
    return {
      ...failed(`${found}: ${mistrust}`, next, "a certificate that this machine's authorities vouch for"),
      code: 'vcenter-certificate',
    }
  }
  const leftMs = validUntil === null ? Number.POSITIVE_INFINITY : Date.parse(validUntil) - nowMs
  if (leftMs < CERTIFICATE_WARNING_MS) {
    const when = leftMs < 0 ? 'has expired' : 'expires soon'
    const pinned = trust.kind === 'thumbprint' ? ', and pin the new one here' : ''
    return warning(`${found}: it ${when}`, `Renew it in vCenter${pinned}`)
  }
  return ok(found)
}

export function versionVerdict({ about }: Pick<VsphereSession, 'about'>): Verdict {
  const { fullName, apiVersion, instanceUuid } = about
  const found = `${fullName}, API ${apiVersion}`
  if (Number.parseFloat(apiVersion) < VERSION_LEAST)
    return failed(found, 'Upgrade vCenter', `API ${VERSION_LEAST} or later`)
  if (instanceUuid === null) {
    const next =
      'Use vCenter where there is one: a lone ESXi host has no tags, and its VMs have no identity that outlives it'
    return warning(`${found}; it is a lone ESXi host`, next)
  }
  return ok(found)
}

/** @param asked when it was asked and when it answered, by our clock */
export function clockVerdict(
  told: Learned<string>,
  asked: { readonly fromMs: number; readonly untilMs: number },
): Verdict {
  if (told.kind === 'unknown') return told.verdict
  const theirsMs = Date.parse(told.value)
  // Anything in between may have been the moment of the answer.
  const aheadMs = theirsMs > asked.untilMs ? theirsMs - asked.untilMs : Math.min(0, theirsMs - asked.fromMs)
  const size = Math.abs(aheadMs)
  const found =
    size < 1000 ? 'less than a second apart' : `${formatDuration(size)} ${aheadMs > 0 ? 'ahead of' : 'behind'} ours`
  if (size < SKEW_WARNING_MS) return ok(found)
  const next = 'Let both use the same time servers (NTP)'
  const needed = `less than ${formatDuration(SKEW_WARNING_MS)} apart`
  return size < SKEW_FAILED_MS ? warning(found, next, needed) : failed(found, next, needed)
}

/** What could not be looked at because an earlier look failed. */
export function unreachedChecks(topics: readonly Topic[], why: string): readonly Check[] {
  return topics.map((topic) => checkOf(topic, notChecked(why)))
}

function digitsOf(fingerprint: string): string {
  return fingerprint.replaceAll(/[^0-9a-fA-F]/g, '').toUpperCase()
}

function withColons(fingerprint: string): string {
  return digitsOf(fingerprint).replaceAll(/(..)(?=.)/g, '$1:')
}
