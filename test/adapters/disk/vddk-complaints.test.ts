// Lines as nbdkit's vddk plugin and VDDK's log print them; what an operator is told of each.

import { describe, expect, it } from 'vitest'
import { readComplaint } from '../../../lib/adapters/disk/vddk-complaints.ts'
import { VIX_MEANINGS } from '../../../lib/adapters/disk/vix-codes.ts'

const cases: readonly (readonly [
  string,
  string,
  { readonly code: string; readonly reason: RegExp; readonly retry?: string },
])[] = [
  [
    'a wrong password',
    `nbdkit: vddk[1]: error: VixDiskLibVim: Not able to login to vCenter
nbdkit: vddk[1]: error: VixDiskLib_ConnectEx: Insufficient permissions in the host operating system`,
    { code: 'vddk-login', reason: /user or password/ },
  ],
  [
    'another thumbprint',
    `nbdkit: debug: VixDiskLibVim: Failed to verify SSL certificate: actual thumbprint=B2:31 expected=12
nbdkit: vddk[1]: error: VixDiskLib_ConnectEx: Unknown error`,
    { code: 'vddk-thumbprint', reason: /another certificate/, retry: 'later' },
  ],
  [
    'a privilege that VDDK calls a licence',
    'nbdkit: vddk[1]: error: VixDiskLib_Open: [ds] a/a.vmdk: The host is not licensed for this feature',
    { code: 'vddk-permission', reason: /Global\.DisableMethods/ },
  ],
  [
    'a missing privilege, by number',
    'nbdkit: vddk[1]: error: VixDiskLib: Prepare for access failed. Error 3014 (Insufficient permissions in the host operating system) at 5240.',
    { code: 'vddk-permission', reason: /privilege/ },
  ],
  [
    'a disk that may not be read',
    'nbdkit: vddk[1]: error: VixDiskLib_Open: [ds] a/a.vmdk: You do not have access rights to this file',
    { code: 'vddk-permission', reason: /may not read/ },
  ],
  [
    'a host without a name here',
    `nbdkit: vddk[1]: error: [NFC ERROR]NfcNewAuthdConnectionEx: Failed to connect: Host address lookup for server 'esx7.lan' failed: Name or service not known
nbdkit: vddk[1]: error: VixDiskLib_Open: [ds] a/a.vmdk: The server refused connection`,
    { code: 'vddk-host-unknown', reason: /"esx7\.lan"/, retry: 'later' },
  ],
  [
    'a closed port',
    `nbdkit: vddk[1]: error: [NFC ERROR]NfcNewAuthdConnectionEx: Failed to connect to peer. Error: Failed to connect to server 10.1.2.3:902
nbdkit: vddk[1]: error: VixDiskLib_Open: [ds] a/a.vmdk: The server refused connection`,
    { code: 'vddk-host-unreachable', reason: /"10\.1\.2\.3" does not answer on port 902/, retry: 'later' },
  ],
  [
    'a host whose NFC connections are taken',
    'nbdkit: vddk[1]: error: [NFC ERROR]NfcNewAuthdConnectionEx: Failed to connect: Error reading from vmware-authd socket. Reason: Resource temporarily unavailable',
    { code: 'vddk-host-unreachable', reason: /NFC/, retry: 'later' },
  ],
  [
    'a refused connection, by number',
    'nbdkit: vddk[1]: debug: VixDiskLib: VixDiskLib_OpenEx: Cannot open disk [ds] a/a.vmdk. Error 14009 (The server refused connection) (DiskLib error 2338) at 7426.',
    { code: 'vddk-host-unreachable', reason: /902/, retry: 'later' },
  ],
  [
    'used-up buffers of a host',
    'nbdkit: vddk[3]: error: [NFC ERROR] NfcFssrvrProcessErrorMsg: received NFC error 5 from server: Failed to allocate the requested 2097176 bytes',
    { code: 'vddk-host-busy', reason: /buffers/, retry: 'later' },
  ],
  [
    'a file that is gone',
    'nbdkit: vddk[1]: error: VixDiskLib_Open: [ds] a/a-000001.vmdk: A file was not found',
    { code: 'vddk-file-not-found', reason: /no such file/, retry: 'later' },
  ],
  [
    'a locked disk',
    'nbdkit: vddk[1]: error: VixDiskLib_Open: [ds] a/a.vmdk: The file is already in use',
    { code: 'vddk-locked', reason: /locked/, retry: 'later' },
  ],
  [
    'a transport that is not to be had here',
    `nbdkit: vddk[1]: error: VixDiskLib: VixDiskLib_ConnectEx: No transport plugin. Advanced transports not available.
nbdkit: vddk[1]: error: VixDiskLib_ConnectEx: The operation is not supported`,
    { code: 'vddk-mode-refused', reason: /this transport/ },
  ],
  [
    'an independent disk',
    'nbdkit: vddk[1]: debug: GetFileName: Cannot create disk spec for disk scsi0:0. Error occurred when obtaining the file name for scsi0:0.',
    { code: 'vddk-disk-refused', reason: /independent/ },
  ],
  [
    'a missing plugin',
    `nbdkit: error: cannot open plugin 'vddk': /usr/lib/x86_64-linux-gnu/nbdkit/plugins/nbdkit-vddk-plugin.so: cannot open shared object file: No such file or directory
Use 'nbdkit --help' or read the nbdkit(1) manual page for documentation.`,
    { code: 'vddk-plugin-missing', reason: /no plugin "vddk"/ },
  ],
  [
    'a missing library',
    `nbdkit: error: libvixDiskLib.so.8: cannot open shared object file: No such file or directory

If 'libvixDiskLib.so.8' is located on a non-standard path you may need to
set $LD_LIBRARY_PATH or edit /etc/ld.so.conf.`,
    { code: 'vddk-library-missing', reason: /"libvixDiskLib\.so\.8"/ },
  ],
  [
    'a library of the library',
    'nbdkit: error: libcrypt.so.1: cannot open shared object file: No such file or directory',
    { code: 'vddk-library-missing', reason: /"libcrypt\.so\.1"/ },
  ],
  [
    'another architecture',
    'nbdkit: error: /opt/vddk/lib64/libvixDiskLib.so.8: wrong ELF class: ELFCLASS32',
    { code: 'vddk-architecture', reason: /processor/ },
  ],
  [
    'a directory that is not there',
    'nbdkit: error: realpath: /nowhere: No such file or directory',
    { code: 'vddk-library-missing', reason: /"?\/nowhere/ },
  ],
  [
    'an older plugin',
    "nbdkit: error: unknown parameter 'compression'",
    { code: 'vddk-plugin-refused', reason: /compression/ },
  ],
  [
    'words that nobody knows',
    'nbdkit: vddk[1]: error: VixDiskLib_Open: [ds] a/a.vmdk: Something new happened',
    { code: 'vddk-failed', reason: /Something new happened/, retry: 'later' },
  ],
]

describe('readComplaint()', () => {
  it.each(cases)('names %s', (_name, said, expected) => {
    const { code, reason, retry, hint, words } = readComplaint(said)
    expect({ code, retry }).toEqual({ code: expected.code, retry: expected.retry ?? 'no' })
    expect(reason).toMatch(expected.reason)
    expect(hint).not.toBe('')
    expect(words.length).toBeGreaterThan(0)
  })

  it.each([...VIX_MEANINGS].filter(([code]) => code !== 1))(
    'knows VDDK error %i by its number and by its words',
    (number, meaning) => {
      for (const said of [
        `nbdkit: vddk[1]: error: VixDiskLib: VixDiskLib_OpenEx: Cannot open disk [a] b. Error ${number} (whatever) at 1.`,
        `nbdkit: vddk[1]: error: VixDiskLib_Open: [a: b] c.vmdk: ${meaning.words}`,
      ]) {
        expect(readComplaint(said)).toMatchObject({ code: meaning.code, vixCode: number, retry: meaning.retry ?? 'no' })
      }
    },
  )

  it('is not misled by the names of datastores, folders and disks', () => {
    for (const file of [
      '[independent] thumbprint/user name or password.vmdk',
      '[ds: hotadd not supported] maintenance mode/SSL certificate.vmdk',
      '[ds1] not licensed for this feature/A file was not found.vmdk',
    ]) {
      const said = `nbdkit: vddk[1]: error: VixDiskLib_Open: ${file}: The server refused connection`
      expect(readComplaint(said)).toMatchObject({ code: 'vddk-host-unreachable', vixCode: 14009 })
    }
  })

  it('says that nothing was said', () => {
    expect(readComplaint('\n')).toMatchObject({ code: 'vddk-failed', reason: 'nbdkit said nothing', words: [] })
  })

  it('takes the telling line before the general one, and keeps both', () => {
    const { vixCode, words } = readComplaint(`nbdkit: vddk[1]: error: VixDiskLib_ConnectEx: Unknown error
nbdkit: vddk[1]: error: VixDiskLib: Error 3014 (Insufficient permissions) at 9`)
    expect(vixCode).toBe(3014)
    expect(words).toHaveLength(2)
  })

  it('keeps its words short, however much is said', () => {
    const { words } = readComplaint(`nbdkit: vddk[1]: error: VixDiskLib_Open: ${'x'.repeat(100_000)}\n`.repeat(50))
    expect(JSON.stringify(words).length).toBeLessThan(3_000)
  })
})
