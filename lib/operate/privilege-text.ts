// The privileges in the forms that people use: a table, and commands that create the roles. Pure.

import { unreachable } from '../base/errors.ts'
import {
  type Feature,
  PRIVILEGE_NEEDS,
  type PrivilegeNeed,
  type PrivilegePlace,
  type PrivilegeSource,
  type Role,
} from '../model/privileges.ts'

const placeWords: Readonly<Record<PrivilegePlace, string>> = {
  vm: 'VMs',
  datastore: 'datastores',
  root: 'vCenter',
  'mover-vm': "mover's VM",
  folder: 'VM folder',
  pool: 'resource pool',
  network: 'networks',
}

const featureWords: Readonly<Record<Feature, string>> = {
  backup: 'Every backup',
  datastore: 'Transport `datastore`',
  lease: 'Transport `lease`',
  nbdssl: 'Transport `nbdssl`',
  nbd: 'Transport `nbd`',
  san: 'Transport `san`',
  hotadd: 'Transport `hotadd`',
  encrypted: 'Encrypted disks',
  vix: 'Guests through VMware Tools (`vix`)',
  restore: 'Restore into vCenter (the release does not do it yet)',
  alarms: 'Alarms that start backups (only to install them)',
}

export function placeText(place: PrivilegePlace): string {
  return placeWords[place]
}

/** How sure the need is, in a few words. */
export function sourceText(source: PrivilegeSource): string {
  switch (source.kind) {
    case 'api':
      return `API reference, ${source.call}`
    case 'document':
      return source.title
    case 'field':
      return 'not verified: other products ask for it'
    default:
      return unreachable(source)
  }
}

/** One markdown table a feature; features with the same needs share one. */
export function privilegeMarkdown(): string {
  const byRows = Map.groupBy(featuresInOrder(), (feature) => needsOf(feature).map(markdownRow).join('\n'))
  const head = '| privilege | on | for | without it | known from |\n| --- | --- | --- | --- | --- |\n'
  return [...byRows].map(([rows, features]) => `**${titleOf(features)}**\n\n${head}${rows}\n`).join('\n')
}

function featuresInOrder(): readonly Feature[] {
  return [...new Set(PRIVILEGE_NEEDS.map(({ feature }) => feature))]
}

function needsOf(feature: Feature): readonly PrivilegeNeed[] {
  return PRIVILEGE_NEEDS.filter((need) => need.feature === feature)
}

function titleOf(features: readonly Feature[]): string {
  const [first, ...more] = features.map((feature) => featureWords[feature])
  return [first, ...more.map((words) => words.replace('Transport ', ''))].join(', ')
}

function markdownRow({ id, place, why, without, source }: PrivilegeNeed): string {
  return `| \`${id}\` | ${placeWords[place]} | ${why} | ${without ?? 'it fails'} | ${sourceText(source)} |`
}

/** Where each place's permission goes, as a variable of the commands. */
const variables: Readonly<Record<PrivilegePlace, string>> = {
  vm: 'DATACENTER',
  datastore: 'DATACENTER',
  root: 'ROOT',
  'mover-vm': 'MOVER_VM',
  folder: 'DATACENTER',
  pool: 'DATACENTER',
  network: 'DATACENTER',
}

const samples: Readonly<Record<string, string>> = {
  DATACENTER: '/Datacenter',
  MOVER_VM: '/Datacenter/vm/coldframe-mover',
}

const notes = [
  'Each role goes to a group of its own, and the account into the groups whose rights it should have. Make the groups in SSO',
  'or in your directory first. The rights of groups add up only where they are bound to the same object: a permission further',
  'down replaces, for all groups of an account, what comes from above. DATACENTER may be a folder of VMs instead, if the',
  'datastores get the permissions too.',
]

/** A shell script for govc, which finds its vCenter in GOVC_URL and the like. */
export function govcCommands(roles: readonly Role[]): string {
  const used = variablesOf(roles)
  return lines([
    ...notes.map((note) => `# ${note}`),
    "DOMAIN='vsphere.local'",
    ...used.map((name) => `${name}=${shellQuoted(samples[name] ?? '')}`),
    '',
    '# Sees the inventory, and changes nothing.',
    govcPermission({ group: 'coldframe-backup', role: 'ReadOnly', path: '/' }),
    ...roles.flatMap((role) => [
      '',
      `# ${role.name}: ${role.title}`,
      `govc role.create ${role.name} \\\n${role.privileges.map((id) => `  ${id}`).join(' \\\n')}`,
      ...targetsOf(role).map((variable) =>
        govcPermission({ group: role.name, role: role.name, path: variable === 'ROOT' ? '/' : `"$${variable}"` }),
      ),
    ]),
  ])
}

function govcPermission({
  group,
  role,
  path,
}: {
  readonly group: string
  readonly role: string
  readonly path: string
}) {
  return `govc permissions.set -principal "$DOMAIN\\\\${group}" -group=true -role ${role} -propagate=true ${path}`
}

/** A script for PowerCLI, after Connect-VIServer. */
export function powercliCommands(roles: readonly Role[]): string {
  const used = variablesOf(roles)
  return lines([
    ...notes.map((note) => `# ${note}`),
    "$domain = 'VSPHERE.LOCAL'",
    "$root = Get-Folder -NoRecursion -Name 'Datacenters'",
    ...used.map((name) => `${psVariable(name)} = ${psObject(name)}`),
    '',
    '# Sees the inventory, and changes nothing.',
    psPermission({ group: 'coldframe-backup', role: 'ReadOnly', entity: '$root' }),
    ...roles.flatMap((role) => [
      '',
      `# ${role.name}: ${role.title}`,
      `New-VIRole -Name ${psQuoted(role.name)} -Privilege (Get-VIPrivilege -Id @(\n${role.privileges.map((id) => `  ${psQuoted(id)}`).join(',\n')}\n))`,
      ...targetsOf(role).map((variable) =>
        psPermission({ group: role.name, role: role.name, entity: psVariable(variable) }),
      ),
    ]),
  ])
}

function psPermission({
  group,
  role,
  entity,
}: {
  readonly group: string
  readonly role: string
  readonly entity: string
}) {
  return `New-VIPermission -Entity ${entity} -Principal "$domain\\${group}" -Role ${psQuoted(role)} -Propagate:$true`
}

function psVariable(name: string): string {
  return `$${name.toLowerCase().replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase())}`
}

function psObject(name: string): string {
  const last = (samples[name] ?? '').split('/').at(-1) ?? ''
  return name === 'MOVER_VM' ? `Get-VM -Name ${psQuoted(last)}` : `Get-Datacenter -Name ${psQuoted(last)}`
}

function targetsOf({ places }: Role): readonly string[] {
  return [...new Set(places.map((place) => variables[place]))]
}

function variablesOf(roles: readonly Role[]): readonly string[] {
  return [...new Set(roles.flatMap(targetsOf))].filter((name) => name in samples)
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function psQuoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join('')
}
