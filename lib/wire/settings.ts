// What a program is told from outside: environment variables and an optional coldframe.yaml, checked once, all faults
// listed. Holds no secret: only where each one is found, so that settings can be printed and logged.

import { resolve } from 'node:path'
import * as z from 'zod'
import { BackupError } from '../base/errors.ts'
import {
  ADMISSION_SETTINGS,
  type AdmissionSettings,
  admissionFileSchema,
  admissionSettingsOf,
  admissionVariables,
} from './admission-settings.ts'
import { type Given, placeVariables, type RepositoryPlace, repositoryPlaceOf } from './repository-place.ts'
import { thumbprintOf, vcenterUrlOf } from './vcenter-place.ts'
import { VDDK_VARIABLES, type VddkSettings, vddkFileSchema, vddkSettingsOf, vddkVariables } from './vddk-settings.ts'
import { faultLines, readYaml } from './yaml-reader.ts'

/** Where a secret is found when it is needed. */
export type SecretReference =
  | { readonly kind: 'environment'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }

export type VcenterTrust =
  /** SHA-256 of the server's certificate, 64 lower-case hex digits. */
  | { readonly kind: 'thumbprint'; readonly sha256: string }
  | { readonly kind: 'ca-file'; readonly path: string }
  /** The machine's own certificate authorities. */
  | { readonly kind: 'system' }

export type VcenterSettings = {
  /** "https://host[:port]/sdk" */
  readonly url: string
  readonly user: string
  readonly password: SecretReference
  readonly trust: VcenterTrust
}

export type Settings = {
  /** Absolute folder of state, queues and logs. */
  readonly home: string
  readonly vcenter: VcenterSettings | null
  readonly repository: RepositoryPlace | null
  readonly passphrase: SecretReference | null
  /** Absolute folder of secrets that policies name, a file each; null: such secrets come by variable only. */
  readonly secretsFolder: string | null
  /** What the transports san, hotadd, nbdssl and nbd need of this machine. */
  readonly vddk: VddkSettings
  /** Limits that were given; a program has values for the rest. */
  readonly admission: AdmissionSettings
}

/** What a command cannot do without; 'store': the repository's place, not what opens it. */
export type SettingsNeed = 'vcenter' | 'repository' | 'store'

export type SettingsSource = {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** coldframe.yaml of the working folder; null when there is none. */
  readonly file: { readonly path: string; readonly text: string } | null
  /** What relative paths are relative to. */
  readonly folder: string
}

const NPM_START = 'To try Coldframe without a vCenter, run "npm start": it backs up and restores simulated VMs'

const fileSchema = z.strictObject({
  vcenter: z.exactOptional(
    z.strictObject({
      url: z.exactOptional(z.string()),
      user: z.exactOptional(z.string()),
      passwordFile: z.exactOptional(z.string()),
      thumbprint: z.exactOptional(z.string()),
      caFile: z.exactOptional(z.string()),
    }),
  ),
  home: z.exactOptional(z.string()),
  repository: z.exactOptional(z.string()),
  passphraseFile: z.exactOptional(z.string()),
  secrets: z.exactOptional(z.string()),
  vddk: z.exactOptional(vddkFileSchema),
  admission: z.exactOptional(admissionFileSchema),
})

type Names = Readonly<Record<string, Given | undefined>>

/**
 * @param needs what the calling command cannot do without
 * @throws BackupError `settings-faulty` (kind usage); facts.faults holds one line a fault, never a secret
 */
export function parseSettings(source: SettingsSource, needs: readonly SettingsNeed[]): Settings {
  const faults: string[] = []
  const given = gather(source, faults)
  const settings: Settings = {
    home: resolve(source.folder, given.home?.text ?? '.coldframe'),
    vcenter: vcenterOf(given, { faults, needed: needs.includes('vcenter'), folder: source.folder }),
    repository: repositoryOf(given, { faults, needed: needs.some((need) => need !== 'vcenter'), ...source }),
    passphrase: secretOf(given, {
      faults,
      needed: needs.includes('repository'),
      folder: source.folder,
      secret: 'passphrase',
      variable: 'COLDFRAME_PASSPHRASE',
      why: 'the passphrase of the repository',
    }),
    secretsFolder: given.secrets === undefined ? null : resolve(source.folder, given.secrets.text),
    vddk: vddkSettingsOf((key) => given[`vddk.${key}`], { faults, folder: source.folder }),
    admission: admissionSettingsOf((key) => given[`admission.${key}`], faults),
  }
  if (faults.length > 0) {
    throw new BackupError(
      `Cannot start: ${faults.length === 1 ? '1 setting is' : `${faults.length} settings are`} missing or wrong`,
      {
        code: 'settings-faulty',
        kind: 'usage',
        hint:
          needs.includes('vcenter') && given.url === undefined
            ? NPM_START
            : 'Set them in the environment or in coldframe.yaml',
        facts: { faults },
      },
    )
  }
  return settings
}

/**
 * The variables that make parseSettings() give these settings in another process, whatever its folder and coldframe.yaml.
 * Secrets given by variable are not among them: they stay in the environment under their own names.
 */
export function settingsVariables(settings: Settings): Readonly<Record<string, string>> {
  const { vcenter, repository, passphrase } = settings
  return {
    COLDFRAME_HOME: settings.home,
    ...(repository === null ? {} : placeVariables(repository)),
    ...(passphrase?.kind === 'file' ? { COLDFRAME_PASSPHRASE_FILE: passphrase.path } : {}),
    ...(settings.secretsFolder === null ? {} : { COLDFRAME_SECRETS: settings.secretsFolder }),
    ...(vcenter === null ? {} : { COLDFRAME_VCENTER: vcenter.url, COLDFRAME_VCENTER_USER: vcenter.user }),
    ...(vcenter?.password.kind === 'file' ? { COLDFRAME_VCENTER_PASSWORD_FILE: vcenter.password.path } : {}),
    ...(vcenter?.trust.kind === 'thumbprint' ? { COLDFRAME_VCENTER_THUMBPRINT: vcenter.trust.sha256 } : {}),
    ...(vcenter?.trust.kind === 'ca-file' ? { COLDFRAME_VCENTER_CA_FILE: vcenter.trust.path } : {}),
    ...vddkVariables(settings.vddk),
    ...admissionVariables(settings.admission),
  }
}

function gather(source: SettingsSource, faults: string[]): Names {
  const file = fileValues(source.file, faults)
  const pick = (variable: string, key: string | undefined, value: string | undefined): Given | undefined => {
    const text = source.environment[variable]
    if (text !== undefined && text !== '') return { name: variable, text }
    return value === undefined || value === '' ? undefined : { name: `${key} of coldframe.yaml`, text: value }
  }
  const { vcenter, vddk = {}, admission = {} } = file
  const below = (parent: string, values: object, variables: readonly (readonly [string, string])[]) =>
    variables.map(([key, variable]) => {
      const value: unknown = Object.entries(values).find(([name]) => name === key)?.[1]
      const text = value === undefined ? undefined : String(value)
      return [`${parent}.${key}`, pick(variable, `${parent}.${key}`, text)] as const
    })
  const limits = Object.entries(ADMISSION_SETTINGS).map(([key, { variable }]) => [key, variable] as const)
  return {
    ...Object.fromEntries(below('vddk', vddk, Object.entries(VDDK_VARIABLES))),
    ...Object.fromEntries(below('admission', admission, limits)),
    home: pick('COLDFRAME_HOME', 'home', file.home),
    url: pick('COLDFRAME_VCENTER', 'vcenter.url', vcenter?.url),
    user: pick('COLDFRAME_VCENTER_USER', 'vcenter.user', vcenter?.user),
    password: pick('COLDFRAME_VCENTER_PASSWORD', undefined, undefined),
    passwordFile: pick('COLDFRAME_VCENTER_PASSWORD_FILE', 'vcenter.passwordFile', vcenter?.passwordFile),
    thumbprint: pick('COLDFRAME_VCENTER_THUMBPRINT', 'vcenter.thumbprint', vcenter?.thumbprint),
    caFile: pick('COLDFRAME_VCENTER_CA_FILE', 'vcenter.caFile', vcenter?.caFile),
    repository: pick('COLDFRAME_REPOSITORY', 'repository', file.repository),
    passphrase: pick('COLDFRAME_PASSPHRASE', undefined, undefined),
    passphraseFile: pick('COLDFRAME_PASSPHRASE_FILE', 'passphraseFile', file.passphraseFile),
    secrets: pick('COLDFRAME_SECRETS', 'secrets', file.secrets),
  }
}

function fileValues(file: SettingsSource['file'], faults: string[]): z.output<typeof fileSchema> {
  if (file === null) return {}
  const result = readYaml(file.text, fileSchema)
  if (result.kind === 'read') return result.value
  const secretNote = 'secrets are not kept in this file: name a file that holds it'
  for (const line of faultLines(result.faults)) {
    faults.push(
      `${file.path} ${/unknown key "pass(word|phrase)"/.test(line) ? `${line.split(' (')[0]}: ${secretNote}` : line}`,
    )
  }
  return {}
}

type Reading = { readonly faults: string[]; readonly needed: boolean; readonly folder: string }

function vcenterOf(given: Names, reading: Reading): VcenterSettings | null {
  const { faults } = reading
  if (given.url === undefined) {
    if (reading.needed) faults.push('COLDFRAME_VCENTER is not set: no vCenter to talk to (https://host[:port])')
    return null
  }
  const url = vcenterUrlOf(given.url, faults)
  if (given.user === undefined) faults.push('COLDFRAME_VCENTER_USER is not set: the account to log in with')
  const password = secretOf(given, {
    ...reading,
    needed: true,
    secret: 'password',
    variable: 'COLDFRAME_VCENTER_PASSWORD',
    why: "that account's password",
  })
  const trust = trustOf(given, reading)
  if (url === null || given.user === undefined || password === null || trust === null) return null
  return { url, user: given.user.text, password, trust }
}

function trustOf(given: Names, { faults, folder }: Reading): VcenterTrust | null {
  const { thumbprint, caFile } = given
  if (thumbprint !== undefined && caFile !== undefined) {
    faults.push(`${thumbprint.name} and ${caFile.name} are both set: one of them decides whom to trust`)
    return null
  }
  if (caFile !== undefined) return { kind: 'ca-file', path: resolve(folder, caFile.text) }
  if (thumbprint === undefined) return { kind: 'system' }
  const sha256 = thumbprintOf(thumbprint, faults)
  return sha256 === null ? null : { kind: 'thumbprint', sha256 }
}

function repositoryOf(
  given: Names,
  { faults, needed, folder, environment }: Reading & Pick<SettingsSource, 'environment'>,
): RepositoryPlace | null {
  const { repository } = given
  if (repository !== undefined) return repositoryPlaceOf(repository, { environment, folder, faults })
  if (needed) {
    faults.push('COLDFRAME_REPOSITORY is not set: where restore points are kept (file:DIR or s3:BUCKET[/PREFIX])')
  }
  return null
}

function secretOf(
  given: Names,
  reading: Reading & { readonly secret: string; readonly variable: string; readonly why: string },
): SecretReference | null {
  const text = given[reading.secret]
  const file = given[`${reading.secret}File`]
  if (text !== undefined && file !== undefined) {
    reading.faults.push(`${text.name} and ${file.name} are both set: give one`)
    return null
  }
  if (text !== undefined) return { kind: 'environment', name: text.name }
  if (file !== undefined) return { kind: 'file', path: resolve(reading.folder, file.text) }
  if (reading.needed) reading.faults.push(`${reading.variable} or ${reading.variable}_FILE is not set: ${reading.why}`)
  return null
}
