// The VDDK transports against nbdkit's own vddk plugin, as Debian ships it (trixie contrib), with a library of ours in the place of
// VMware's. It runs where scripts/peers.mjs could fetch that plugin: Debian 12 has none, and nothing else depends on it.

import { spawnSync } from 'node:child_process'
import { copyFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bytesEqual, KiB, MiB } from '../../lib/base/bytes.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { describeDiskSource } from '../contract/disk-source.ts'
import { debianVddkPlugin, peerSkip } from '../kit/peers.ts'
import { diskRequest, openVddkSite, PASSWORD, siteTransport, type VddkSite } from './vddk/site.ts'

const cancel = { signal: new AbortController().signal }
const FILE = '[ds 1] web 01/web 01-000002.vmdk'
const image = seededRandom(3).bytes(4 * MiB)
const request = diskRequest({ fileName: FILE, capacityBytes: image.byteLength })
const own = debianVddkPlugin()

describe.skipIf(peerSkip('nbdkit') || own === null)("nbdkit's own vddk plugin", () => {
  const plugin = own?.plugin ?? ''

  async function siteWithDisk(bytes: Uint8Array = image): Promise<VddkSite> {
    const site = await openVddkSite()
    onTestFinished(async () => {
      expect(await readdir(site.folderBase)).toEqual([])
      await site[Symbol.asyncDispose]()
    })
    await copyFile(own?.library ?? '', join(site.libdir, 'lib64', 'libvixDiskLib.so.8'))
    await site.addDisk(FILE, bytes)
    return site
  }

  const transportOf = (site: VddkSite, change: Parameters<typeof siteTransport>[2] = {}) =>
    siteTransport(site, 'nbdssl', { plugin, compression: 'fastlz', ...change })

  describeDiskSource("nbdkit's own vddk plugin", async (bytes) =>
    transportOf(await siteWithDisk(bytes)).open(
      diskRequest({ fileName: FILE, capacityBytes: bytes.byteLength }),
      cancel,
    ),
  )

  it('takes our command line, hides the password, and closes, disconnects and ends at our goodbye', async () => {
    const site = await siteWithDisk()
    const source = await transportOf(site).open(request, cancel)
    const { stdout } = spawnSync('pgrep', ['-af', `libdir=${site.libdir}`], { encoding: 'utf8' })
    expect(stdout).toContain('password=-')
    expect(stdout).not.toContain(PASSWORD)
    await source[Symbol.asyncDispose]()
    const [open = '', ...rest] = await site.calls()
    expect(open).toContain('open read-only server=vc.test vm=moref=vm-16 snapshot=snapshot-20 transports=nbdssl')
    expect(rest).toEqual(['close', 'disconnect', 'exit'])
  })

  it('is started again when it dies in the middle', async () => {
    const site = await siteWithDisk()
    await site.put('die-read.once', '3')
    await using source = await transportOf(site).open(request, cancel)
    const disk = new Uint8Array(source.capacityBytes)
    for (let at = 0; at < disk.length; at += 512 * KiB)
      await source.read({ offsetBytes: at, target: disk.subarray(at, at + 512 * KiB) }, cancel)
    expect(bytesEqual(disk, image)).toBe(true)
    expect((await site.calls()).filter((call) => call.startsWith('open'))).toHaveLength(2)
  })

  it.each([
    ['a wrong password', { site: 'password other\n' }, 'vddk-login'],
    ['another certificate', { site: 'thumbprint 00:11\n' }, 'vddk-thumbprint'],
    ['a missing file', { disks: '' }, 'vddk-file-not-found'],
    ['a missing privilege', { 'fail-open': '16064' }, 'vddk-permission'],
    ['a disk that may not be read', { 'fail-open': '13' }, 'vddk-permission'],
    ['a closed port', { 'fail-open': '14009' }, 'vddk-host-unreachable'],
    ['a VDDK that cannot start', { 'fail-init': '2' }, 'vddk-host-busy'],
    ['a VDDK that hangs', { 'hang-init': '' }, 'vddk-start-timeout'],
  ] as const)('is explained: %s', async (_name, files, code) => {
    const site = await siteWithDisk()
    for (const [name, text] of Object.entries(files)) await site.put(name, text)
    const startLimitMs = code === 'vddk-start-timeout' ? 500 : 20_000
    const opening = transportOf(site, { startLimitMs, stopLimitMs: 200 }).open(request, cancel)
    await expect(opening).rejects.toMatchObject({ code })
  })

  it('says which library is missing', async () => {
    const site = await siteWithDisk()
    await site.remove('lib64/libvixDiskLib.so.8')
    const presence = { kind: 'there', nbdkit: '/usr/bin/nbdkit', libdir: site.libdir } as const
    const opening = transportOf(site, { presence }).open(request, cancel)
    await expect(opening).rejects.toMatchObject({ code: 'vddk-library-missing' })
  })
})
