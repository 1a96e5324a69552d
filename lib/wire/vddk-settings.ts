// Where nbdkit and the user's VDDK are, and how they are used: part of the settings, without secrets.

import { isAbsolute, resolve } from 'node:path'
import * as z from 'zod'
import { quote } from '../base/errors.ts'

export type VddkSettings = {
  /** Absolute folder of the unpacked VDDK; null: the transports that need it refuse every disk. */
  readonly directory: string | null
  /** A name to be found in PATH, or an absolute path. */
  readonly nbdkit: string
  /** nbdkit's plugin by name, or the absolute path of its file. */
  readonly plugin: string
  /** Of what crosses the network. */
  readonly compression: 'none' | 'zlib' | 'fastlz' | 'skipz'
  /** Where ESXi hosts listen for NFC; null: 902. */
  readonly nfcPort: number | null
  /** The VM that movers run in, by reference ("vm-123") or instance uuid; null: none, or not a VM. */
  readonly moverVm: string | null
}

export const vddkFileSchema = z.strictObject({
  directory: z.exactOptional(z.string()),
  nbdkit: z.exactOptional(z.string()),
  plugin: z.exactOptional(z.string()),
  compression: z.exactOptional(z.string()),
  nfcPort: z.exactOptional(z.union([z.string(), z.number()])),
  moverVm: z.exactOptional(z.string()),
})

/** The variable of each, and its key below "vddk" in coldframe.yaml. */
export const VDDK_VARIABLES = {
  directory: 'COLDFRAME_VDDK',
  nbdkit: 'COLDFRAME_NBDKIT',
  plugin: 'COLDFRAME_NBDKIT_PLUGIN',
  compression: 'COLDFRAME_VDDK_COMPRESSION',
  nfcPort: 'COLDFRAME_VDDK_NFC_PORT',
  moverVm: 'COLDFRAME_MOVER_VM',
} as const satisfies Readonly<Record<keyof z.output<typeof vddkFileSchema>, string>>

type Key = keyof typeof VDDK_VARIABLES
type Given = { readonly name: string; readonly text: string }

export function vddkSettingsOf(
  given: (key: Key) => Given | undefined,
  { faults, folder }: { readonly faults: string[]; readonly folder: string },
): VddkSettings {
  const program = (key: 'nbdkit' | 'plugin', fallback: string): string => {
    const text = given(key)?.text ?? fallback
    return text.includes('/') && !isAbsolute(text) ? resolve(folder, text) : text
  }
  const directory = given('directory')
  return {
    directory: directory === undefined ? null : resolve(folder, directory.text),
    nbdkit: program('nbdkit', 'nbdkit'),
    plugin: program('plugin', 'vddk'),
    compression: compressionOf(given('compression'), faults),
    nfcPort: portOf(given('nfcPort'), faults),
    moverVm: moverVmOf(given('moverVm'), faults),
  }
}

/** What vddkSettingsOf() reads again to the same. */
export function vddkVariables(settings: VddkSettings): Readonly<Record<string, string>> {
  const { directory, nbdkit, plugin, compression, nfcPort, moverVm } = settings
  return {
    ...(directory === null ? {} : { [VDDK_VARIABLES.directory]: directory }),
    [VDDK_VARIABLES.nbdkit]: nbdkit,
    [VDDK_VARIABLES.plugin]: plugin,
    [VDDK_VARIABLES.compression]: compression,
    ...(nfcPort === null ? {} : { [VDDK_VARIABLES.nfcPort]: String(nfcPort) }),
    ...(moverVm === null ? {} : { [VDDK_VARIABLES.moverVm]: moverVm }),
  }
}

const COMPRESSIONS = ['none', 'zlib', 'fastlz', 'skipz'] as const

function compressionOf(given: Given | undefined, faults: string[]): VddkSettings['compression'] {
  if (given === undefined) return 'none'
  const known = COMPRESSIONS.find((one) => one === given.text)
  if (known === undefined) faults.push(`${given.name} is ${quote(given.text)}: must be ${COMPRESSIONS.join(', ')}`)
  return known ?? 'none'
}

function portOf(given: Given | undefined, faults: string[]): number | null {
  if (given === undefined) return null
  const port = /^\d{1,5}$/.test(given.text) ? Number(given.text) : 0
  if (port > 0 && port < 65_536) return port
  faults.push(`${given.name} is ${quote(given.text)}: must be a port from 1 to 65535`)
  return null
}

function moverVmOf(given: Given | undefined, faults: string[]): string | null {
  if (given === undefined) return null
  if (/^[A-Za-z]+-\d+$/.test(given.text)) return given.text
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(given.text)) return given.text.toLowerCase()
  faults.push(`${given.name} is ${quote(given.text)}: must be a VM's reference ("vm-123") or its instance uuid`)
  return null
}
