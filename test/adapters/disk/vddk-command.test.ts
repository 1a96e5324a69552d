import { describe, expect, it } from 'vitest'
import { type VddkCommand, vddkArguments } from '../../../lib/adapters/disk/vddk-command.ts'
import { parseMoref } from '../../../lib/model/ids.ts'

const command: VddkCommand = {
  plugin: 'vddk',
  libdir: '/opt/vmware-vix-disklib-distrib',
  server: { host: 'vc.example.com', port: 443 },
  user: 'backup@vsphere.local',
  thumbprintSha1: Array(20).fill('AB').join(':'),
  vm: parseMoref('vm-16'),
  snapshot: parseMoref('snapshot-20'),
  mode: 'nbdssl',
  compression: 'fastlz',
  nfcPort: null,
  fileName: '[ds 1] web 01/web 01-000002.vmdk',
  socket: '/tmp/x/nbd.sock',
}

describe('vddkArguments()', () => {
  it('reads only, listens on a private socket, ends with us, and names VM, snapshot and disk', () => {
    expect(vddkArguments(command)).toEqual([
      ...[
        '--foreground',
        '--readonly',
        '--exit-with-parent',
        '--unix',
        '/tmp/x/nbd.sock',
        '--filter=blocksize',
        '--filter=exitlast',
        'vddk',
      ],
      ...[
        'libdir=/opt/vmware-vix-disklib-distrib',
        'server=vc.example.com',
        'user=backup@vsphere.local',
        'password=-3',
      ],
      ...[`thumbprint=${command.thumbprintSha1}`, 'vm=moref=vm-16', 'snapshot=snapshot-20', 'transports=nbdssl'],
      ...['compression=fastlz', 'file=[ds 1] web 01/web 01-000002.vmdk', 'minblock=512', 'maxdata=2097152'],
    ])
  })

  it('compresses over the network only, where it is asked to', () => {
    const compressed = (change: Partial<VddkCommand>) =>
      vddkArguments({ ...command, ...change }).filter((each) => each.startsWith('compression='))
    expect(compressed({ mode: 'nbd', compression: 'skipz' })).toEqual(['compression=skipz'])
    expect(compressed({ mode: 'nbdssl', compression: 'none' })).toEqual([])
    expect(compressed({ mode: 'hotadd' })).toEqual([])
    expect(compressed({ mode: 'san' })).toEqual([])
  })

  it('names ports only where they are not the usual ones', () => {
    const args = vddkArguments({
      ...command,
      server: { host: '10.0.0.1', port: 8443 },
      nfcPort: 9902,
      plugin: '/x/p.so',
    })
    expect(args).toContain('port=8443')
    expect(args).toContain('nfchostport=9902')
    expect(args).toContain('/x/p.so')
  })

  it('refuses a thumbprint that is none: VDDK would take a wrong one for no check', () => {
    for (const thumbprintSha1 of ['', 'AB:CD', `${'ab:'.repeat(19)}ab`, Array(32).fill('AB').join(':')])
      expect(() => vddkArguments({ ...command, thumbprintSha1 })).toThrow(/Assertion/)
  })
})
