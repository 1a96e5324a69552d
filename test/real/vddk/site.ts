// A folder that stands for an unpacked VDDK and for the vCenter behind it: what our own nbdkit plugin goes by (plugin.c).

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findVddk } from '../../../lib/adapters/disk/vddk-presence.ts'
import { type VddkTransportOptions, vddkTransports } from '../../../lib/adapters/disk/vddk-transport.ts'
import { systemClock } from '../../../lib/base/clock.ts'
import { assert } from '../../../lib/base/errors.ts'
import { systemRandom } from '../../../lib/base/random.ts'
import { parseMoref } from '../../../lib/model/ids.ts'
import type { TransportName } from '../../../lib/model/policy.ts'
import type { VmDisk } from '../../../lib/model/vm.ts'
import type { DiskRequest, Transport } from '../../../lib/ports/transport.ts'
import { requirePeer } from '../../kit/peers.ts'

export const THUMBPRINT_SHA1 = Array(20).fill('AB').join(':')
export const PASSWORD = 'geheim-p<&>"\'w'
const USER = 'backup@vsphere.local'

export type VddkSite = AsyncDisposable & {
  readonly libdir: string
  /** The base of nbdkit's private folders: empty when nothing is left behind. */
  readonly folderBase: string
  /** Puts a disk behind a name of a datastore; @returns the plain file's path */
  addDisk(fileName: string, image: Uint8Array | string): Promise<string>
  /** Writes one of the files that plugin.c goes by. */
  put(name: string, text: string): Promise<void>
  remove(name: string): Promise<void>
  /** What was asked of the plugin, a line each. */
  calls(): Promise<readonly string[]>
}

export async function openVddkSite(): Promise<VddkSite> {
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-vddk-'))
  const libdir = join(folder, 'vddk')
  const folderBase = join(folder, 'tmp')
  await mkdir(join(libdir, 'lib64'), { recursive: true })
  await mkdir(folderBase)
  await writeFile(join(libdir, 'lib64', 'libvixDiskLib.so.8'), '')
  const disks = new Map<string, string>()
  let made = 0
  const put = (name: string, text: string) => writeFile(join(libdir, name), text)
  await put('site', `user ${USER}\npassword ${PASSWORD}\nthumbprint ${THUMBPRINT_SHA1}\n`)
  return {
    libdir,
    folderBase,
    put,
    addDisk: async (fileName, image) => {
      const path = typeof image === 'string' ? image : join(folder, `disk-${made++}.raw`)
      if (typeof image !== 'string') await writeFile(path, image)
      disks.set(fileName, path)
      await put('disks', [...disks].map(([name, file]) => `${name}\t${file}\n`).join(''))
      return path
    },
    remove: (name) => rm(join(libdir, name), { force: true }),
    calls: async () => (await readFile(join(libdir, 'calls'), 'utf8').catch(() => '')).split('\n').filter(Boolean),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The transports as a mover of this site has them. */
export function siteTransport(
  site: VddkSite,
  name: TransportName = 'nbdssl',
  change: Partial<VddkTransportOptions> = {},
): Transport {
  const machine = { platform: 'linux', arch: 'x64' }
  const transports = vddkTransports({
    presence: findVddk({ nbdkit: requirePeer('nbdkit'), libdir: site.libdir, path: '', machine }),
    plugin: requirePeer('vddk-plugin'),
    compression: 'none',
    nfcPort: null,
    hotadd: true,
    login: async () => ({
      server: { host: 'vc.test', port: 443 },
      user: USER,
      password: PASSWORD,
      thumbprintSha1: THUMBPRINT_SHA1,
    }),
    findAgain: async ({ disk }) => disk.fileName,
    clock: systemClock,
    random: systemRandom,
    startLimitMs: 20_000,
    folderBase: site.folderBase,
    ...change,
  })
  const found = transports.find((each) => each.name === name)
  assert(found !== undefined, 'there is such a transport')
  return found
}

export function diskRequest(disk: Partial<VmDisk> & Pick<VmDisk, 'fileName' | 'capacityBytes'>): DiskRequest {
  return {
    vm: parseMoref('vm-16'),
    snapshot: parseMoref('snapshot-20'),
    datacenter: 'DC0',
    disk: {
      ...{ key: 2000, label: 'Hard disk 1', controllerKey: 1000, unitNumber: 0, mode: 'persistent', backing: 'flat' },
      ...{ parents: [], uuid: '6000C29a', changeId: null, thin: true, encrypted: false, sharing: false },
      ...disk,
    },
  }
}
