// What nbdkit and VDDK said on standard error, as one sentence for an operator. Matched by structure and by VDDK's error
// codes (VDDK Programming Guide, "Errors Codes"; vix.h); VDDK's own words are kept as the cause.

import type { ErrorKind, Retry } from '../../base/errors.ts'
import { VIX_MEANINGS, type VixMeaning, vixCodeOfWords } from './vix-codes.ts'

export type Complaint = {
  /** kebab-case, begins with "vddk-". */
  readonly code: string
  readonly kind: ErrorKind
  readonly retry: Retry
  /** Ends the sentence "Cannot open … over nbdssl: ". */
  readonly reason: string
  readonly hint: string
  /** VDDK's number, where it said one or its words have one. */
  readonly vixCode: number | null
  /** The lines that speak of it, shortened, most telling first. */
  readonly words: readonly string[]
}

const LINE_CHARS_MAX = 300
const LINES_MAX = 6

/** @param said the standard error of one nbdkit, secrets already taken out */
export function readComplaint(said: string): Complaint {
  const lines = said.split('\n').map(plainLine).filter(isWord)
  for (const sign of SIGNS) {
    for (const line of lines) {
      const match = sign.test.exec(withoutFiles(line))
      if (match === null) continue
      return { kind: 'failed', vixCode: codeOf(line), ...sign.says(match), words: wordsOf(lines, line) }
    }
  }
  for (const line of lines) {
    const vixCode = codeOf(line)
    const meaning = vixCode === null ? undefined : VIX_MEANINGS.get(vixCode)
    if (meaning !== undefined && vixCode !== 1) return { ...complaintOf(meaning, vixCode), words: wordsOf(lines, line) }
  }
  return unknown(lines)
}

type Said = Omit<Complaint, 'vixCode' | 'words' | 'kind'> & { readonly kind?: ErrorKind }
type Sign = { readonly test: RegExp; readonly says: (match: RegExpExecArray) => Said }

/** "nbdkit: vddk[1]: error: text" -> "text". */
function plainLine(line: string): string {
  return line
    .trim()
    .replace(/^nbdkit: (?:[\w-]+(?:\[\d+\])?: )*(?:error|warning|debug): /, '')
    .slice(0, LINE_CHARS_MAX)
}

/** Folders and disks have any names, and none of them is a complaint: "[ds1] old/thumbprint.vmdk". */
function withoutFiles(line: string): string {
  return line.replaceAll(/\[(?!NFC )[^\]]*\] .*?\.vmdk/g, '[…]')
}

/** nbdkit's advice to read its manual is no complaint. */
function isWord(line: string): boolean {
  return line !== '' && !/^Use 'nbdkit|^See the nbdkit|^If '.*non-standard path|^set \$LD_LIBRARY_PATH/.test(line)
}

/** "… Error 14009 (The server refused connection) …", or the bare words that the plugin gets for a number. */
function codeOf(line: string): number | null {
  const numbered = /\bError (\d{1,5}) \(/.exec(line)?.[1]
  if (numbered !== undefined) return Number(numbered)
  const words = /^VixDiskLib_\w+: (?:.*: )?(.+)$/.exec(line)?.[1]
  return words === undefined ? null : vixCodeOfWords(words)
}

function wordsOf(lines: readonly string[], telling: string): readonly string[] {
  const calls = lines.filter((line) => line !== telling && /^VixDiskLib\w*:|\[NFC ERROR\]|\bError \d+ \(/.test(line))
  return [...new Set([telling, ...calls])].slice(0, LINES_MAX)
}

function complaintOf(meaning: VixMeaning, vixCode: number | null): Omit<Complaint, 'words'> {
  const { code, reason, hint, retry = 'no', kind = 'failed' } = meaning
  return { code, kind, retry, reason, hint, vixCode }
}

function unknown(lines: readonly string[]): Complaint {
  const last = lines.findLast((line) => /^VixDiskLib|NFC ERROR/.test(line)) ?? lines.at(-1)
  return {
    code: 'vddk-failed',
    kind: 'failed',
    retry: 'later',
    reason: last === undefined ? 'nbdkit said nothing' : `VDDK says "${last}"`,
    hint: 'Look for these words in the VDDK release notes; "coldframe doctor" checks what is known to go wrong',
    vixCode: last === undefined ? null : codeOf(last),
    words: lines.slice(-LINES_MAX),
  }
}

/** Most telling first: what a sign here names is often followed by a general error of VDDK. */
const SIGNS: readonly Sign[] = [
  {
    test: /cannot open plugin '([^']+)'|^([^ ]*nbdkit-vddk-plugin\.so): cannot open/,
    says: (match) => ({
      code: 'vddk-plugin-missing',
      retry: 'no',
      reason: `nbdkit has no plugin "${match[1] ?? match[2] ?? 'vddk'}"`,
      hint: "Install nbdkit's vddk plugin (Debian 13 contrib: nbdkit-plugin-vddk; Fedora: nbdkit-vddk-plugin), or name its file in COLDFRAME_NBDKIT_PLUGIN",
    }),
  },
  {
    test: /wrong ELF class|invalid ELF header|Exec format error/i,
    says: () => ({
      code: 'vddk-architecture',
      retry: 'no',
      reason: 'the VDDK libraries are not for this processor',
      hint: 'VDDK exists for x86-64 alone: give its 64-bit Linux version, or run the mover on such a machine',
    }),
  },
  {
    test: /([^\s:'"]+\.so[.\d]*): cannot open shared object file/,
    says: (match) => ({
      code: 'vddk-library-missing',
      retry: 'no',
      reason: `the library "${match[1]}" is not found`,
      hint: 'Let COLDFRAME_VDDK name the unpacked VDDK (the directory that holds lib64), and install the libraries that VDDK itself needs',
    }),
  },
  {
    test: /^realpath: (.+)$|^libdir=?[^:]*: (.+)$/,
    says: (match) => ({
      code: 'vddk-library-missing',
      retry: 'no',
      reason: `the VDDK directory cannot be opened (${match[1] ?? match[2]})`,
      hint: 'Let COLDFRAME_VDDK name the unpacked VDDK: the directory that holds lib64',
    }),
  },
  {
    test: /thumb ?print|certificate verif|verify SSL cert|SSL certificate/i,
    says: () => ({
      code: 'vddk-thumbprint',
      kind: 'refused',
      retry: 'later',
      reason: 'the server showed VDDK another certificate than it showed us',
      hint: 'If the certificate is being renewed, try again when that is done; else somebody stands between this machine and vCenter',
    }),
  },
  {
    test: /Not able to login|user ?name or password|Cannot complete login|InvalidLogin|[Ll]ogin (?:failed|failure|incorrect)/,
    says: () => ({
      code: 'vddk-login',
      kind: 'refused',
      retry: 'no',
      reason: 'vCenter refuses user or password',
      hint: 'Check user name (with its domain) and password; several failures may lock the account',
    }),
  },
  {
    test: /not licensed for this feature|\bError 16064 \(/,
    says: () => ({
      code: 'vddk-permission',
      kind: 'refused',
      retry: 'no',
      reason:
        'the privileges Global.DisableMethods and Global.EnableMethods are missing on the vCenter (VDDK calls it a licence)',
      hint: "Give the account's role both privileges at the root of the vCenter; if it has them, the host's licence lacks the storage APIs",
    }),
  },
  {
    test: /Host address lookup for server '([^']*)' failed|(?:Name or service not known|failure in name resolution|getaddrinfo)/,
    says: (match) => ({
      code: 'vddk-host-unknown',
      retry: 'later',
      reason:
        match[1] === undefined
          ? "the name of the VM's host cannot be resolved here"
          : `the name of the host "${match[1]}" cannot be resolved here`,
      hint: 'VDDK reads from the ESXi host itself: give this machine a DNS that knows the names under which vCenter has its hosts',
    }),
  },
  {
    test: /NFC error 5\b|Failed to allocate the requested|NFC_NO_MEMORY|NfcFssrvr.*(?:memory|alloc)/i,
    says: () => ({
      code: 'vddk-host-busy',
      retry: 'later',
      reason: "the host's buffers for NFC are used up",
      hint: 'Read fewer disks of this host at once; other backup products use the same 48 MB',
    }),
  },
  {
    test: /(?:Failed|Cannot|Couldn't|unable) (?:to )?connect to (?:server ?|peer ?)?([\w.:-]*\w):(\d{2,5})\b/i,
    says: (match) => ({
      code: 'vddk-host-unreachable',
      retry: 'later',
      reason: `the host "${match[1]}" does not answer on port ${match[2]}`,
      hint: `Open TCP port ${match[2]} from this machine to every ESXi host that runs a protected VM`,
    }),
  },
  {
    test: /vmware-authd|NfcNewAuthdConnection|NfcEstablishAuthCnx|NBD_ERR_NETWORK_CONNECT/,
    says: () => ({
      code: 'vddk-host-unreachable',
      retry: 'later',
      reason: "the VM's host does not take an NFC connection (port 902)",
      hint: 'Open TCP port 902 from this machine to every ESXi host; a host whose NFC connections are all taken answers like this, too',
    }),
  },
  {
    test: /maintenance mode/i,
    says: () => ({
      code: 'vddk-host-busy',
      retry: 'later',
      reason: "the VM's host is in maintenance mode and takes no NFC connections",
      hint: 'Back the VM up when it runs on another host',
    }),
  },
  {
    test: /Cannot create disk spec|independent/i,
    says: () => ({
      code: 'vddk-disk-refused',
      kind: 'refused',
      retry: 'no',
      reason: 'VDDK finds no file for this disk: it is independent, or not part of the snapshot',
      hint: 'Exclude the disk in the policy, or change its mode',
    }),
  },
  {
    test: /No transport plugin|Advanced transports? not available|None of the (?:requested )?transport|[Tt]ransport mode.*(?:not available|not supported|invalid)|(?:hotadd|san).*(?:not available|not supported|cannot be used)|VIX_E_DISK_NODEVICE|\bError 1606[56] \(/i,
    says: () => ({
      code: 'vddk-mode-refused',
      kind: 'refused',
      retry: 'no',
      reason: 'VDDK cannot use this transport for this disk from this machine',
      hint: '"san" needs the LUNs of a VMFS datastore on this machine (FC or iSCSI; no NFS, vSAN or vVol); "hotadd" needs this machine to be a VM that reaches the same datastores',
    }),
  },
  {
    test: /remote connection requested, missing parameter: (\w+)|unknown parameter '?([\w-]+)/,
    says: (match) => ({
      code: 'vddk-plugin-refused',
      retry: 'no',
      reason: `this vddk plugin does not take its parameters as we give them ("${match[1] ?? match[2]}")`,
      hint: 'Use nbdkit 1.32 or newer, with the plugin of the same version',
    }),
  },
]
