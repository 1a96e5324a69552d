// The VDDK transports against the real nbdkit, with our own plugin in the place of VMware's.

import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { bytesEqual, KiB, MiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import type { DiskSource } from '../../lib/ports/disk.ts'
import { describeDiskSource } from '../contract/disk-source.ts'
import { peerSkip } from '../kit/peers.ts'
import { until } from '../kit/programs.ts'
import { diskRequest, openVddkSite, PASSWORD, siteTransport, type VddkSite } from './vddk/site.ts'

const cancel = { signal: new AbortController().signal }
const FILE = '[ds 1] web 01/web 01-000002.vmdk'
const image = seededRandom(3).bytes(8 * MiB)

async function site(): Promise<VddkSite> {
  const opened = await openVddkSite()
  onTestFinished(async () => {
    // Nothing runs and nothing lies around, whatever happened.
    expect(nbdkitsOf(opened)).toEqual([])
    expect(await readdir(opened.folderBase)).toEqual([])
    await opened[Symbol.asyncDispose]()
  })
  return opened
}

async function siteWithDisk(bytes: Uint8Array = image): Promise<VddkSite> {
  const opened = await site()
  await opened.addDisk(FILE, bytes)
  return opened
}

const request = diskRequest({ fileName: FILE, capacityBytes: image.byteLength })

/** The command lines of the nbdkits that serve this site. */
function nbdkitsOf({ libdir }: VddkSite): readonly string[] {
  const lines = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n')
  return lines.filter((line) => line.includes('nbdkit') && line.includes(`libdir=${libdir}`))
}

async function readAll(source: DiskSource, readBytes = 512 * KiB): Promise<Uint8Array> {
  const disk = new Uint8Array(source.capacityBytes)
  let next = 0
  await Promise.all(
    Array.from({ length: source.readsMax }, async () => {
      for (let at = next; at < disk.length; at = next) {
        next = at + readBytes
        await source.read({ offsetBytes: at, target: disk.subarray(at, Math.min(next, disk.length)) }, cancel)
      }
    }),
  )
  return disk
}

async function failureOf(action: Promise<unknown>): Promise<BackupError> {
  const error: unknown = await action.then(
    () => 'it did not fail',
    (failure: unknown) => failure,
  )
  if (error instanceof BackupError) return error
  throw new Error(`Not a BackupError: ${String(error)}`, { cause: error })
}

describe.skipIf(peerSkip('nbdkit', 'vddk-plugin'))('VDDK through nbdkit', () => {
  describeDiskSource('nbdkit with the vddk plugin', async (bytes) => {
    const opened = await siteWithDisk(bytes)
    return siteTransport(opened).open(diskRequest({ fileName: FILE, capacityBytes: bytes.byteLength }), cancel)
  })

  it.each(['san', 'hotadd', 'nbdssl', 'nbd'] as const)(
    'asks VDDK for %s, the VM, its snapshot and the disk',
    async (mode) => {
      const opened = await siteWithDisk()
      const source = await siteTransport(opened, mode, { compression: 'fastlz' }).open(request, cancel)
      expect(source.capacityBytes).toBe(image.byteLength)
      await source[Symbol.asyncDispose]()
      const [open = '', close = ''] = await opened.calls()
      expect(open).toContain('open read-only server=vc.test port=-')
      expect(open).toContain(`vm=moref=vm-16 snapshot=snapshot-20 transports=${mode}`)
      expect(open).toContain(`compression=${mode.startsWith('nbd') ? 'fastlz' : '-'} file=${FILE}`)
      expect(close).toMatch(/^close/)
    },
  )

  it('shows the password to nobody: not in arguments, environment or files', async () => {
    const opened = await siteWithDisk()
    await using source = await siteTransport(opened).open(request, cancel)
    expect(source.capacityBytes).toBeGreaterThan(0)
    const [pid] = execFileSync('pgrep', ['-f', `libdir=${opened.libdir}`], { encoding: 'utf8' })
      .trim()
      .split('\n')
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1')
    const args = await readFile(`/proc/${pid}/cmdline`, 'latin1')
    expect(args).toContain('password=-3')
    for (const text of [environment, args]) expect(text).not.toContain(PASSWORD)
    expect(
      environment
        .split('\0')
        .map((one) => one.split('=')[0])
        .filter(Boolean)
        .sort(),
    ).toEqual(expect.arrayContaining(['HOME', 'LANG', 'PATH', 'TMPDIR']))
    expect(environment).not.toMatch(/COLDFRAME|VITEST|NODE/)
  })

  it('makes a folder that only its user may enter, and removes it', async () => {
    const opened = await siteWithDisk()
    const source = await siteTransport(opened).open(request, cancel)
    const [folder = ''] = await readdir(opened.folderBase)
    expect(execFileSync('stat', ['-c', '%a', join(opened.folderBase, folder)], { encoding: 'utf8' }).trim()).toBe('700')
    await source[Symbol.asyncDispose]()
    expect(await readdir(opened.folderBase)).toEqual([])
  })

  it('removes what a process that died left behind, and nothing else', async () => {
    const opened = await siteWithDisk()
    const space = /\[(\d+)\]/.exec(execFileSync('readlink', ['/proc/self/ns/pid'], { encoding: 'utf8' }))?.[1]
    const dead = `coldframe-nbdkit-${space}-4194303-0123abcd-0123456789ab`
    const foreign = [`coldframe-nbdkit-1-4194303-0123abcd-0123456789ab`, 'coldframe-nbdkit-mine', `${dead}.bak`]
    for (const name of [dead, ...foreign]) await mkdir(join(opened.folderBase, name, 'tmp'), { recursive: true })
    await writeFile(join(opened.folderBase, dead, 'nbd.sock'), '')
    const source = await siteTransport(opened).open(request, cancel)
    const others = siteTransport(opened)
    await (await others.open(request, cancel))[Symbol.asyncDispose]()
    await source[Symbol.asyncDispose]()
    expect((await readdir(opened.folderBase)).sort()).toEqual([...foreign].sort())
    for (const name of foreign) execFileSync('rm', ['-r', join(opened.folderBase, name)])
  })

  it('ends with its parent, however that ends', async () => {
    const opened = await siteWithDisk()
    const program = join(import.meta.dirname, 'vddk', 'hold-open.ts')
    const { startProgram } = await import('../kit/programs.ts')
    const child = startProgram(program, [opened.libdir, opened.folderBase, FILE, String(image.byteLength)])
    expect(await child.line()).toBe('open')
    expect(nbdkitsOf(opened)).toHaveLength(1)
    await child.kill('SIGKILL')
    await until(() => nbdkitsOf(opened).length === 0)
    expect(await readdir(opened.folderBase)).toHaveLength(1)
    await (await siteTransport(opened).open(request, cancel))[Symbol.asyncDispose]()
  })

  describe('explains why a disk cannot be opened', () => {
    const refusals = [
      ['a wrong password', { site: 'password other\n' }, { code: 'vddk-login', retry: 'no' }],
      ['another certificate', { site: 'thumbprint 00:11\n' }, { code: 'vddk-thumbprint', retry: 'later' }],
      [
        'a transport that is not to be had',
        { site: 'transports nbd,hotadd\n' },
        { code: 'vddk-mode-refused', retry: 'no' },
      ],
      ['a missing file', { disks: '' }, { code: 'vddk-file-not-found', retry: 'later' }],
      [
        'a missing privilege',
        { 'fail-open': `VixDiskLib_Open: ${FILE}: The host is not licensed for this feature\n` },
        { code: 'vddk-permission', retry: 'no' },
      ],
      [
        'a closed port',
        {
          'fail-open': `[NFC ERROR]NfcNewAuthdConnectionEx: Failed to connect to peer. Error: Failed to connect to server 10.1.2.3:902\n`,
        },
        { code: 'vddk-host-unreachable', retry: 'later' },
      ],
      [
        'a VDDK that cannot start',
        { 'fail-init': 'VixDiskLib_InitEx: Memory allocation failed. Out of memory\n' },
        { code: 'vddk-host-busy', retry: 'later' },
      ],
    ] as const
    it.each(refusals)('%s', async (_name, files, expected) => {
      const opened = await siteWithDisk()
      for (const [name, text] of Object.entries(files)) await opened.put(name, text)
      const error = await failureOf(siteTransport(opened).open(request, cancel))
      expect(error).toMatchObject(expected)
      expect(error.hint).toBeTruthy()
      expect(error.message).toContain(`Cannot open "${FILE}" of VM "vm-16" over nbdssl: `)
      expect(error.message.length).toBeLessThan(400)
    })

    it('a missing plugin, and a missing nbdkit', async () => {
      const opened = await siteWithDisk()
      const without = siteTransport(opened, 'nbdssl', { plugin: 'coldframe-no-such-plugin' })
      expect(await failureOf(without.open(request, cancel))).toMatchObject({ code: 'vddk-plugin-missing' })
      const presence = { kind: 'there', nbdkit: join(opened.libdir, 'nbdkit'), libdir: opened.libdir } as const
      const lost = siteTransport(opened, 'nbdssl', { presence })
      expect(await failureOf(lost.open(request, cancel))).toMatchObject({ code: 'nbdkit-missing', kind: 'usage' })
    })

    it('a start that hangs, within its limit, even where SIGTERM does not help', async () => {
      const opened = await siteWithDisk()
      await opened.put('hang-init', '')
      const hanging = siteTransport(opened, 'nbdssl', { startLimitMs: 400, stopLimitMs: 100 })
      expect(await failureOf(hanging.open(request, cancel))).toMatchObject({
        code: 'vddk-start-timeout',
        retry: 'later',
      })
    })

    it('with the password blacked out where VDDK repeats it', async () => {
      const opened = await siteWithDisk()
      await opened.put('fail-open', `VixDiskLib_Open: cannot use "${PASSWORD}"\n`)
      const error = await failureOf(siteTransport(opened).open(request, cancel))
      expect(`${error.message} ${JSON.stringify(error.facts)} ${String(error.cause)}`).not.toContain(PASSWORD)
      expect(error.message).toContain('cannot use "…"')
    })

    it('and stops at once when its caller stops', async () => {
      const opened = await siteWithDisk()
      await opened.put('hang-init', '')
      const stop = new AbortController()
      const opening = siteTransport(opened, 'nbdssl', { stopLimitMs: 100 }).open(request, { signal: stop.signal })
      const reason = new Error('enough')
      setTimeout(() => stop.abort(reason), 100)
      await expect(opening).rejects.toBe(reason)
    })
  })

  describe('goes on reading', () => {
    it('when nbdkit dies in the middle: what was not answered is read again from another', async () => {
      const opened = await siteWithDisk()
      await opened.put('die-read.once', '7\nVixDiskLib_Read: The connection was lost\n')
      await using source = await siteTransport(opened).open(request, cancel)
      expect(bytesEqual(await readAll(source), image)).toBe(true)
      expect((await opened.calls()).filter((call) => call.startsWith('open'))).toHaveLength(2)
    })

    it('when a read fails: the NFC session may be over, so a new one is opened', async () => {
      const opened = await siteWithDisk()
      await opened.put('fail-read.once', '5\nVixDiskLib_Read: The connection was lost\n')
      await using source = await siteTransport(opened).open(request, cancel)
      expect(bytesEqual(await readAll(source), image)).toBe(true)
    })

    it('after nobody read for a while and nbdkit was ended', async () => {
      const opened = await siteWithDisk()
      await using source = await siteTransport(opened, 'nbdssl', { idleMs: 30 }).open(request, cancel)
      const target = new Uint8Array(MiB)
      await source.read({ offsetBytes: 0, target }, cancel)
      await until(() => nbdkitsOf(opened).length === 0)
      await source.read({ offsetBytes: MiB, target }, cancel)
      expect(bytesEqual(target, image.subarray(MiB, 2 * MiB))).toBe(true)
    })

    it('but not for ever: a disk that cannot be read fails, and may be tried later', async () => {
      const opened = await siteWithDisk()
      await opened.put(
        'fail-read',
        '0\n[NFC ERROR] received NFC error 5 from server: Failed to allocate the requested 2097176 bytes\n',
      )
      await using source = await siteTransport(opened).open(request, cancel)
      const error = await failureOf(readAll(source, 2 * MiB))
      expect(error).toMatchObject({ code: 'disk-read-failed', retry: 'later', facts: { complaint: 'vddk-host-busy' } })
      expect(error.message).toContain('buffers')
    })

    it('but not when the disk has another size behind its name', async () => {
      const opened = await siteWithDisk()
      await opened.put('die-read.once', '0\n')
      await using source = await siteTransport(opened).open(request, cancel)
      await opened.addDisk(FILE, image.subarray(0, MiB))
      const error = await failureOf(source.read({ offsetBytes: 0, target: new Uint8Array(512) }, cancel))
      expect(error).toMatchObject({ code: 'disk-read-failed', retry: 'later' })
      expect(error.message).toContain(`it has ${MiB} bytes now, it had ${8 * MiB}`)
    })
  })

  it('calls a disk whole data when its allocation cannot be told', async () => {
    const range = { offsetBytes: 0, lengthBytes: 8 * MiB }
    for (const mishap of ['no-extents', 'fail-extents']) {
      const opened = await siteWithDisk(new Uint8Array(8 * MiB))
      await opened.put(mishap, '')
      await using source = await siteTransport(opened).open(request, cancel)
      expect(await source.allocation(range, cancel)).toEqual([{ ...range, kind: 'data' }])
    }
  })

  it('says goodbye to nbdkit with nothing in flight, also when it is left in the middle of reads', async () => {
    const opened = await siteWithDisk()
    await opened.put('slow-read', '150')
    const source = await siteTransport(opened).open(request, cancel)
    const stop = new AbortController()
    const reads = Array.from({ length: 4 }, () =>
      source.read({ offsetBytes: 0, target: new Uint8Array(MiB) }, { signal: stop.signal }),
    )
    const settled = Promise.allSettled(reads)
    await until(async () => (await opened.calls()).length === 1)
    stop.abort(new Error('enough'))
    await settled
    await source[Symbol.asyncDispose]()
    // Debian 12's nbdkit aborts when a client is gone while it answers: then nothing is closed.
    expect((await opened.calls()).at(-1)).toMatch(/^close/)
  })

  it('never asks for more than a host lends: 2 MiB', async () => {
    const opened = await siteWithDisk()
    await using source = await siteTransport(opened).open(request, cancel)
    expect(source.readBytesMax).toBe(2 * MiB)
    // The plugin refuses larger ones.
    expect(bytesEqual(await readAll(source, 2 * MiB), image)).toBe(true)
  })

  describe('looks for a file that is gone', () => {
    it('and reads it where the snapshot has it now', async () => {
      const opened = await site()
      await opened.addDisk('[ds2] web 01/web 01.vmdk', image)
      const findAgain = async () => '[ds2] web 01/web 01.vmdk'
      await using source = await siteTransport(opened, 'nbdssl', { findAgain }).open(request, cancel)
      expect(bytesEqual(await readAll(source), image)).toBe(true)
    })

    it('and fails when the snapshot has no such disk any more', async () => {
      const opened = await site()
      const lost = siteTransport(opened, 'nbdssl', { findAgain: async () => null })
      expect(await failureOf(lost.open(request, cancel))).toMatchObject({ code: 'disk-read-failed', retry: 'later' })
    })
  })
})
