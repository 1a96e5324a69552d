// The table of privileges against what others know: pyVmomi's copy of the API's metadata, and vcsim's list from a real server.

import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { PRIVILEGE_NEEDS } from '../../lib/model/privileges.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { openVcsim } from '../kit/vcsim.ts'

/** Every method's own privilege and those of its parameters, by the method's name. */
const DUMP = `
import json
from pyVmomi import VmomiSupport
found = {}
for name in list(VmomiSupport._managedDefMap.keys()):
    for method in VmomiSupport.GetVmodlType(name)._methodInfo.values():
        ids = [method.privId] + [parameter.privId for parameter in method.params]
        found.setdefault(method.wsdlName, []).extend(id for id in ids if id)
print(json.dumps(found))
`

/** Makes a role of the given privileges: vcsim refuses one that it does not know. */
const MAKE_ROLE = `
import ssl, sys
from pyVim.connect import SmartConnect
si = SmartConnect(host='127.0.0.1', port=int(sys.argv[1]), user=sys.argv[2], pwd=sys.argv[3], sslContext=ssl._create_unverified_context())
for id in sys.argv[4:]:
    try:
        si.content.authorizationManager.AddAuthorizationRole(name='role ' + id, privIds=[id])
    except Exception as fault:
        print(id, type(fault).__name__)
`

function python(...args: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync(requirePeer('pyvmomi'), ['-c', ...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return stdout
}

describe.skipIf(peerSkip('pyvmomi'))('the table of privileges', () => {
  it('names for each call what the API reference names', () => {
    const known = JSON.parse(python(DUMP)) as Readonly<Record<string, readonly string[]>>
    const wrong = PRIVILEGE_NEEDS.flatMap(({ id, source }) =>
      source.kind === 'api' && !known[source.call]?.includes(id) ? [`${source.call}: ${id}`] : [],
    )
    expect(wrong).toEqual([])
  })

  it.skipIf(peerSkip('vcsim'))('has only privileges that a server knows', async () => {
    await using vcsim = await openVcsim({ machines: 0 })
    const ids = [...new Set(PRIVILEGE_NEEDS.map(({ id }) => id))]
    const { port } = new URL(vcsim.url)
    expect(python(MAKE_ROLE, port, vcsim.user, vcsim.password, ...ids)).toBe('')
    expect(python(MAKE_ROLE, port, vcsim.user, vcsim.password, 'Datastore.Nonsense')).toContain('Datastore.Nonsense')
  })
})
