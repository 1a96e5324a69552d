import { describe, expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import { parseSettings, type Settings, type SettingsNeed, settingsVariables } from '../../lib/wire/settings.ts'

const whole = {
  COLDFRAME_VCENTER: 'https://vc.example:8443',
  COLDFRAME_VCENTER_USER: 'backup@vsphere.local',
  COLDFRAME_VCENTER_PASSWORD: 'hunter2',
  COLDFRAME_VCENTER_THUMBPRINT: `${'AB:'.repeat(31)}AB`,
  COLDFRAME_REPOSITORY: 'file:backups',
  COLDFRAME_PASSPHRASE: 'correct horse',
}
const both: readonly SettingsNeed[] = ['vcenter', 'repository']

function parse(environment: Record<string, string>, yaml?: string): Settings {
  return parseSettings(
    { environment, folder: '/srv', file: yaml === undefined ? null : { path: 'coldframe.yaml', text: yaml } },
    both,
  )
}

function errorOf(environment: Record<string, string>, yaml?: string): BackupError {
  try {
    parse(environment, yaml)
  } catch (error) {
    if (error instanceof BackupError) return error
    throw error
  }
  throw new Error('the settings were accepted')
}

function faultsOf(environment: Record<string, string>, yaml?: string): string {
  const { faults } = errorOf(environment, yaml).facts
  return Array.isArray(faults) ? faults.join('\n') : ''
}

const noVddk = {
  directory: null,
  nbdkit: 'nbdkit',
  plugin: 'vddk',
  compression: 'none',
  nfcPort: null,
  moverVm: null,
}

describe('parseSettings()', () => {
  it('reads the environment and makes paths absolute', () => {
    expect(parse(whole)).toEqual({
      home: '/srv/.coldframe',
      vcenter: {
        url: 'https://vc.example:8443/sdk',
        user: 'backup@vsphere.local',
        password: { kind: 'environment', name: 'COLDFRAME_VCENTER_PASSWORD' },
        trust: { kind: 'thumbprint', sha256: 'ab'.repeat(32) },
      },
      repository: { kind: 'folder', folder: '/srv/backups' },
      passphrase: { kind: 'environment', name: 'COLDFRAME_PASSPHRASE' },
      secretsFolder: null,
      vddk: noVddk,
      admission: {},
    })
  })

  it('never holds the text of a secret', () => {
    expect(JSON.stringify(parse(whole))).not.toMatch(/hunter2|correct horse/)
  })

  it('reads coldframe.yaml, and the environment wins over it', () => {
    const settings = parse(
      { COLDFRAME_VCENTER_USER: 'other', COLDFRAME_PASSPHRASE_FILE: '/run/pass' },
      'vcenter: {url: "https://vc/sdk", user: me, passwordFile: secrets/vc, caFile: ca.pem}\nhome: state\nrepository: file:///data/r\nsecrets: guests\n',
    )
    expect(settings).toEqual({
      home: '/srv/state',
      vcenter: {
        url: 'https://vc/sdk',
        user: 'other',
        password: { kind: 'file', path: '/srv/secrets/vc' },
        trust: { kind: 'ca-file', path: '/srv/ca.pem' },
      },
      repository: { kind: 'folder', folder: '/data/r' },
      passphrase: { kind: 'file', path: '/run/pass' },
      secretsFolder: '/srv/guests',
      vddk: noVddk,
      admission: {},
    })
  })

  it('without a vCenter says so and names the simulator', () => {
    const error = errorOf({})
    expect(error).toMatchObject({ code: 'settings-faulty', kind: 'usage' })
    expect(error.hint).toContain('npm start')
    expect(faultsOf({})).toMatch(/COLDFRAME_VCENTER is not set/)
    expect(faultsOf({})).toMatch(/COLDFRAME_REPOSITORY is not set/)
    expect(faultsOf({})).toMatch(/COLDFRAME_PASSPHRASE or COLDFRAME_PASSPHRASE_FILE is not set/)
  })

  it('needs nothing for a command that needs nothing', () => {
    expect(parseSettings({ environment: {}, folder: '/srv', file: null }, [])).toEqual({
      home: '/srv/.coldframe',
      vcenter: null,
      repository: null,
      passphrase: null,
      secretsFolder: null,
      vddk: noVddk,
      admission: {},
    })
  })

  it('lists all faults at once, without secrets', () => {
    const faults = faultsOf({
      COLDFRAME_VCENTER: 'http://vc',
      COLDFRAME_VCENTER_PASSWORD: 'hunter2',
      COLDFRAME_VCENTER_PASSWORD_FILE: '/x',
      COLDFRAME_VCENTER_THUMBPRINT: 'ab'.repeat(20),
      COLDFRAME_REPOSITORY: 'ftp://bucket',
      COLDFRAME_PASSPHRASE: 'p',
    })
    expect(faults.split('\n')).toHaveLength(5)
    expect(faults).toMatch(/must be https/)
    expect(faults).toMatch(/SHA-1/)
    expect(faults).toMatch(/must be file:DIR/)
    expect(faults).not.toContain('hunter2')
  })

  it('never repeats an account written into the address', () => {
    expect(JSON.stringify(errorOf({ ...whole, COLDFRAME_VCENTER: 'https://me:hunter2@vc' }))).not.toContain('hunter2')
    expect(faultsOf({ ...whole, COLDFRAME_VCENTER: 'https://me:hunter2@vc' })).toMatch(/COLDFRAME_VCENTER_USER/)
  })

  it('come back in another process from their variables', () => {
    const yaml = 'vcenter: {url: "https://vc/sdk", user: me, passwordFile: vc, caFile: ca.pem}\nrepository: file:r\n'
    const { COLDFRAME_PASSPHRASE } = whole
    for (const [environment, text] of [
      [whole, undefined],
      [{ COLDFRAME_PASSPHRASE }, yaml],
      [{ COLDFRAME_PASSPHRASE_FILE: 'p' }, yaml],
    ] as const) {
      const settings = parse(environment, text)
      const variables = { ...environment, ...settingsVariables(settings) }
      expect(parseSettings({ environment: variables, folder: '/elsewhere', file: null }, both)).toEqual(settings)
    }
  })

  it('read where nbdkit and the VDDK are, from either place, and come back from their variables', () => {
    const yaml = 'vddk: {directory: vddk, nbdkit: bin/nbdkit, compression: skipz, nfcPort: 9902, moverVm: vm-7}\n'
    const settings = parse({ ...whole, COLDFRAME_VDDK_COMPRESSION: 'fastlz', COLDFRAME_NBDKIT_PLUGIN: '/p.so' }, yaml)
    expect(settings.vddk).toEqual({
      directory: '/srv/vddk',
      nbdkit: '/srv/bin/nbdkit',
      plugin: '/p.so',
      compression: 'fastlz',
      nfcPort: 9902,
      moverVm: 'vm-7',
    })
    const variables = { ...whole, ...settingsVariables(settings) }
    expect(parseSettings({ environment: variables, folder: '/elsewhere', file: null }, both)).toEqual(settings)
    const uuid = '50126EC1-3B80-4D0E-9B1A-0123456789AB'
    expect(parse({ ...whole, COLDFRAME_MOVER_VM: uuid }).vddk.moverVm).toBe(uuid.toLowerCase())
  })

  it('refuse a VDDK setting that is none, by the name it was given', () => {
    const odd = { COLDFRAME_VDDK_COMPRESSION: 'gzip', COLDFRAME_VDDK_NFC_PORT: '0', COLDFRAME_MOVER_VM: 'mover one' }
    expect(faultsOf({ ...whole, ...odd }).split('\n')).toHaveLength(3)
    expect(faultsOf(whole, 'vddk: {nfcPort: 70000}\n')).toMatch(/vddk\.nfcPort of coldframe\.yaml is "70000"/)
    expect(faultsOf(whole, 'vddk: {directry: x}\n')).toMatch(/unknown key "directry"/)
  })

  it('refuses a secret in coldframe.yaml with what to do instead', () => {
    expect(faultsOf(whole, 'passphrase: hello\n')).toBe(
      'coldframe.yaml line 1: unknown key "passphrase": secrets are not kept in this file: name a file that holds it',
    )
  })
})

describe('limits of admission', () => {
  it('are read from the file and the environment, which wins, in their own units', () => {
    const yaml = 'admission: {nfcConnections: 30, nfcBuffersMB: 32, freeSpaceGB: 0, latencyStopMs: 40}\n'
    const settings = parse({ ...whole, COLDFRAME_NFC_CONNECTIONS: '20' }, yaml)
    expect(settings.admission).toEqual({
      nfcConnections: 20,
      nfcBuffersBytes: 32 * 1024 * 1024,
      freeSpaceBytes: 0,
      latencyStopMs: 40,
    })
    const again = parse({ ...whole, ...settingsVariables(settings) })
    expect(again.admission).toEqual(settings.admission)
  })

  it('that are no numbers, out of range, unknown or against each other are refused', () => {
    const faulty = (yaml: string) => faultsOf(whole, `admission: {${yaml}}\n`)
    expect(faulty('nfcConnections: 0')).toContain(
      'admission.nfcConnections of coldframe.yaml is "0": must be a whole number',
    )
    expect(faulty('jobsPerHost: many')).toContain('"many"')
    expect(faulty('freeSpacePercent: 1.5')).toContain('"1.5"')
    expect(faulty('nfcConections: 3')).toContain('unknown key "nfcConections"')
    expect(faulty('latencyStartMs: 30, latencyStopMs: 20')).toContain('latencyStopMs is below latencyStartMs')
  })
})
