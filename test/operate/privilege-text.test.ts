// Commands that create roles: what a shell makes of them, without govc.

import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { privilegesFor, rolesFor } from '../../lib/model/privileges.ts'
import { govcCommands, powercliCommands, privilegeMarkdown } from '../../lib/operate/privilege-text.ts'

describe('privileges as text', () => {
  it('the script for govc is one that a shell runs, with each privilege as an argument and each principal as one', () => {
    const roles = rolesFor(['backup', 'hotadd', 'vix'])
    const script = `set -eu\ngovc() { printf '%s|' "$@"; echo; }\n${govcCommands(roles)}`
    const { stdout, stderr, status } = spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8' })
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    const calls = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('|').slice(0, -1))
    const created = calls.filter(([verb]) => verb === 'role.create')
    expect(created.map(([, name, ...privileges]) => ({ name, privileges }))).toEqual(
      roles.map(({ name, privileges }) => ({ name, privileges })),
    )
    expect(calls.filter(([verb]) => verb === 'permissions.set').map((call) => [call[2], call.at(-1)])).toEqual([
      ['vsphere.local\\coldframe-backup', '/'],
      ['vsphere.local\\coldframe-backup', '/Datacenter'],
      ['vsphere.local\\coldframe-vddk', '/'],
      ['vsphere.local\\coldframe-guest', '/Datacenter'],
      ['vsphere.local\\coldframe-mover', '/Datacenter/vm/coldframe-mover'],
    ])
  })

  it('the script for PowerCLI names every privilege of every role', () => {
    const roles = rolesFor(['backup', 'datastore', 'vix'])
    const script = powercliCommands(roles)
    for (const { name, privileges } of roles) {
      expect(script).toContain(`New-VIRole -Name '${name}'`)
      for (const id of privileges) expect(script).toContain(`'${id}'`)
    }
  })

  it('the tables say what is not verified', () => {
    const text = privilegeMarkdown()
    const unverified = privilegesFor(['nbdssl']).find(({ source }) => source.kind === 'field')
    expect(text).toContain(`| \`${unverified?.id}\` |`)
    expect(text.split('\n').find((line) => line.includes(unverified?.id ?? '?'))).toContain('not verified')
  })
})
