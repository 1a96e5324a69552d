import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import { defaultPolicy } from '../../lib/model/policy.ts'
import { parsePolicy } from '../../lib/wire/policy.ts'
import { parseDuration } from '../../lib/wire/policy-scalars.ts'

const sha256 = 'ab'.repeat(32)

const gold = `name: gold
select: {any: [{tag: backup/gold}, {name: "db-*"}], none: [{folder: /DC/lab}]}
disks: {exclude: ["scratch*"]}
schedule: {cron: "0 22 * * *", timeZone: Europe/Berlin, window: {close: "06:00"}} # or rpo: 4h
consistency: {want: application, require: crash}
guest: {mode: try, order: [network, vix], credentials: secret-name, hostKey: pinned}   # mode: require | try | off
scripts:
  linux:
    preFreeze: {bundle: scripts/db.tgz, sha256: "${sha256}", entry: freeze.sh, timeout: 5m, successCodes: [0]}
    postThaw: {bundle: scripts/db.tgz, sha256: "${sha256}", entry: thaw.sh}
  freezeLimit: 180s
transport: [nbdssl, datastore, lease]
retention: {last: 3, daily: 7, weekly: 4, monthly: 12, timeZone: Europe/Berlin}
`

function faultsOf(text: string): readonly string[] {
  try {
    parsePolicy(text, 'p.yaml')
  } catch (error) {
    expect(error).toBeInstanceOf(BackupError)
    if (!(error instanceof BackupError)) throw error
    expect(error.code).toBe('policy-malformed')
    expect(error.kind).toBe('usage')
    return Array.isArray(error.facts['faults']) ? error.facts['faults'] : []
  }
  throw new Error('the policy was accepted')
}

describe('parsePolicy()', () => {
  it('reads the documented example', () => {
    expect(parsePolicy(gold, 'gold.yaml')).toMatchObject({
      name: 'gold',
      select: { any: [{ tag: 'backup/gold' }, { name: 'db-*' }], all: [], none: [{ folder: '/DC/lab' }] },
      disks: { exclude: ['scratch*'] },
      schedule: { cron: '0 22 * * *', rpoMs: null, timeZone: 'Europe/Berlin', windowClose: '06:00' },
      consistency: { want: 'application', require: 'crash' },
      guest: { mode: 'try', order: ['network', 'vix'], credentials: 'secret-name', hostKey: 'pinned' },
      scripts: {
        linux: {
          preFreeze: { timeoutMs: 300_000, successCodes: [0], elevated: false },
          postThaw: { timeoutMs: 120_000 },
        },
        windows: {},
        freezeLimitMs: 180_000,
      },
      transport: ['nbdssl', 'datastore', 'lease'],
      retention: { last: 3, daily: 7, weekly: 4, monthly: 12, yearly: 0, timeZone: 'Europe/Berlin' },
    })
  })

  it('reads the policy that comes with Coldframe', () => {
    const text = readFileSync(join(import.meta.dirname, '../../events/policy.yaml'), 'utf8')
    const { scripts, guest } = parsePolicy(text, 'policy.yaml')
    expect(Object.keys(scripts.linux)).toEqual(['preFreeze', 'postThaw'])
    expect(Object.keys(scripts.windows)).toEqual(['preFreeze', 'postThaw', 'postCommit'])
    expect(guest.overrides).toHaveLength(1)
  })

  it('fills what is left out as the default policy does', () => {
    expect(parsePolicy('name: default', 'p.yaml')).toEqual(defaultPolicy())
  })

  it('lists every fault with its line, in the order of the lines', () => {
    const faults = faultsOf(`name: Gold!
select:
  any:
    - {tag: gold}
    - {}
consistency: {want: crash, require: application}
retentoin: {last: 3}
transport: [nbdssl, carrier-pigeon]
schedule: {cron: "22:00", rpo: 4h, timeZone: Mars/Base}
scripts:
  freezeLimit: 180
`)
    expect(faults.map((fault) => fault.split(':')[0])).toEqual([
      'line 1',
      'line 4',
      'line 5',
      'line 6',
      'line 7',
      'line 8',
      'line 9',
      'line 9',
      'line 9',
      'line 11',
      'line 11',
    ])
    expect(faults.join('\n')).toMatchInlineSnapshot(`
      "line 1: name: Cannot read policy name "Gold!": must be 1 to 64 of a-z, 0-9 and "-", starting with a letter or digit
      line 4: select.any.0.tag: must be "category/tag"
      line 5: select.any.1: an empty condition would match every VM; write {name: "*"} if you mean that
      line 6: consistency.require: asks for more than want does
      line 7: unknown key "retentoin" (did you mean "retention"?)
      line 8: transport.1: must be "san" or "hotadd" or "nbdssl" or "nbd" or "datastore" or "lease"
      line 9: schedule: needs one of cron, every and rpo, and no more
      line 9: schedule.cron: must be five cron fields, for example "0 22 * * *"
      line 9: schedule.timeZone: must be a time zone such as "Europe/Berlin" or "UTC"
      line 11: scripts: scripts run in the guest: set guest.mode to "require" or "try"
      line 11: scripts.freezeLimit: must be a time such as "90s", "5m" or "4h", 1 s to 9 m"
    `)
  })

  it('refuses text that is not YAML, and a key given twice, with the line', () => {
    expect(faultsOf('name: "gold\nselect: {')[0]).toMatch(/^line \d+: not YAML/)
    expect(faultsOf('name: gold\nname: silver\n')).toEqual(['line 2: this key is given twice'])
  })

  it('refuses an empty file and a list by saying what is needed', () => {
    expect(faultsOf('')).toEqual(['name: missing: string needed'])
    expect(faultsOf('- a')[0]).toMatch(/object/)
  })

  it('never matches every VM by an empty condition', () => {
    expect(faultsOf('name: a\nselect: {any: []}')).toEqual(['line 2: select.any: needs at least one condition'])
  })
})

describe('parsePolicy() for guests', () => {
  const bundle = `{bundle: scripts/db.tgz, sha256: "${sha256}", entry: a.sh}`
  const guest = (rest: string) => `name: a\nguest: {mode: try}\n${rest}`

  it('reads overrides, subnets and VSS options', () => {
    const policy = parsePolicy(
      `name: a
consistency: {want: application, vss: {timeout: 7m}}
guest:
  mode: require
  order: [vix]
  hostKey: first-seen
  subnets: {only: ["192.0.2.0/24"], none: ["2001:db8::/32"]}
  overrides:
    - {match: {name: "db-*"}, credentials: db-account, linux: {preFreeze: ${bundle}, postCommit: ${bundle}}}
`,
      'a.yaml',
    )
    expect(policy.consistency).toEqual({
      want: 'application',
      require: 'crash',
      vss: { backupType: 'copy', timeoutMinutes: 7 },
    })
    expect(policy.guest).toMatchObject({
      mode: 'require',
      order: ['vix'],
      credentials: null,
      hostKey: 'first-seen',
      subnets: { only: ['192.0.2.0/24'], none: ['2001:db8::/32'] },
      overrides: [
        {
          match: { name: 'db-*' },
          credentials: 'db-account',
          linux: { preFreeze: { timeoutMs: 600_000, elevated: false }, postCommit: { entry: 'a.sh' } },
        },
      ],
    })
  })

  it('refuses to truncate logs before anything is stored, unless the policy says that it knows', () => {
    const vss = (text: string) => `name: a\nconsistency: {want: application, vss: {${text}}}`
    expect(faultsOf(vss('backupType: full'))[0]).toContain('before a byte of it is stored')
    expect(
      parsePolicy(vss('backupType: full, allowTruncationBeforeCommit: true'), 'a').consistency.vss.backupType,
    ).toBe('full')
  })

  it.each([
    ['a thaw of nothing', guest(`scripts: {linux: {postThaw: ${bundle}}}`), 'nothing to thaw'],
    [
      'a key outside scripts/',
      guest(`scripts: {linux: {preFreeze: {bundle: p/x.tgz, sha256: "${sha256}", entry: a.sh}}}`),
      'scripts/',
    ],
    [
      'a key that climbs out',
      guest(`scripts: {linux: {preFreeze: {bundle: scripts/../p/x.tgz, sha256: "${sha256}", entry: a.sh}}}`),
      'scripts/',
    ],
    [
      'an entry that climbs out',
      guest(`scripts: {linux: {preFreeze: {bundle: scripts/x.tgz, sha256: "${sha256}", entry: ../a.sh}}}`),
      'inside the bundle',
    ],
    [
      'an entry of no known form',
      guest(`scripts: {linux: {preFreeze: {bundle: scripts/x.tgz, sha256: "${sha256}", entry: a.py}}}`),
      '.ps1',
    ],
    [
      'an absolute entry',
      guest(`scripts: {linux: {preFreeze: {bundle: scripts/x.tgz, sha256: "${sha256}", entry: /a.sh}}}`),
      'inside the bundle',
    ],
    ['a freeze that outlasts its stage', guest('scripts: {freezeLimit: 10m}'), '1 s to 9 m'],
    ['a subnet that is none', 'name: a\nguest: {mode: try, subnets: {only: [all]}}', '192.0.2.0/24'],
    ['a secret whose name is a path', 'name: a\nguest: {mode: try, credentials: ../x}', 'must be a name'],
    ['scripts without an account', guest(`scripts: {linux: {preFreeze: ${bundle}}}`), 'guest.credentials'],
    [
      'guest processing that is required and does nothing',
      'name: a\nguest: {mode: require, credentials: x}',
      'needs a script',
    ],
    [
      'overrides that nobody asks',
      `name: a\nguest: {mode: off, overrides: [{match: {name: x}, linux: {preFreeze: ${bundle}}}]}`,
      'change nothing while',
    ],
    [
      'an override that changes nothing',
      'name: a\nguest: {mode: try, overrides: [{match: {name: x}}]}',
      'changes nothing',
    ],
  ])('refuses %s', (_what, text, says) => {
    expect(faultsOf(text).join('\n')).toContain(says)
  })
})

it('parseDuration() knows ms, s, m, h and d and nothing else', () => {
  expect(['500ms', '180s', '5m', '4h', '1d'].map(parseDuration)).toEqual([
    500, 180_000, 300_000, 14_400_000, 86_400_000,
  ])
  expect(['', '5', '5 m', '-5m', '1.5h', '5w'].map(parseDuration)).toEqual([null, null, null, null, null, null])
})

it('reads the audit of changed block tracking, the caps of a snapshot and anti-affinity', () => {
  const text = `
name: gold
changeTracking: { audit: 5 }
snapshot: { ageMax: 6h, growthMax: 50GiB }
antiAffinity: { tagCategories: [ha] }
`
  expect(parsePolicy(text, 'gold.yaml')).toMatchObject({
    changeTracking: { auditPercent: 5 },
    snapshot: { ageMsMax: 6 * 3_600_000, growthBytesMax: 50 * 2 ** 30 },
    antiAffinity: { policy: false, tagCategories: ['ha'] },
  })
  expect(parsePolicy('name: gold', 'gold.yaml')).toMatchObject({
    changeTracking: { auditPercent: 2 },
    snapshot: { ageMsMax: 24 * 3_600_000, growthBytesMax: null },
  })
  for (const bad of ['snapshot: { growthMax: 50GB }', 'snapshot: { ageMax: 1m }', 'changeTracking: { audit: 101 }'])
    expect(() => parsePolicy(`name: gold\n${bad}`, 'gold.yaml')).toThrow(
      expect.objectContaining({ code: 'policy-malformed' }),
    )
})

describe('parsePolicy() for schedules and alarms', () => {
  const scheduleOf = (text: string) => parsePolicy(`name: p\nschedule: ${text}`, 'p.yaml').schedule

  it('reads an interval, an RPO, a window over midnight and jitter', () => {
    expect(scheduleOf('{every: 6h, jitter: 10m}')).toEqual({
      cron: null,
      rateMs: 6 * 3_600_000,
      rpoMs: null,
      timeZone: 'UTC',
      windowOpen: null,
      windowClose: null,
      jitterMs: 600_000,
    })
    expect(scheduleOf('{rpo: 20h, timeZone: Europe/Berlin, window: {open: "20:00", close: "06:00"}}')).toMatchObject({
      rpoMs: 20 * 3_600_000,
      timeZone: 'Europe/Berlin',
      windowOpen: '20:00',
      windowClose: '06:00',
    })
  })

  it.each([
    ['{timeZone: UTC}', /needs one of cron, every and rpo/],
    ['{cron: "0 22 * * *", every: 1h}', /and no more/],
    ['{every: 90s}', /schedule.every: "90s" must be a time .*5 m to 30 d/],
    ['{every: 330s}', /schedule.every: must be whole minutes/],
    ['{every: 1h, jitter: 1h}', /schedule.jitter: must be shorter than every/],
    ['{every: 1h, window: {close: "06:00"}}', /schedule.window: needs open/],
    ['{cron: "0 * * * *", window: {close: "06:00"}}', /schedule.window: needs open/],
    ['{every: 1h, window: {open: "06:00", close: "06:00"}}', /opens and closes at the same time/],
    ['{rpo: 4h, window: {open: "20:00", close: "06:00"}}', /closed for longer than rpo/],
    ['{cron: "0 12 * * *", window: {open: "20:00", close: "06:00"}}', /never open when cron starts/],
    ['{cron: "0 22 1 * 1"}', /days of the month and weekdays at once/],
    ['{cron: "0 0 31 2 *"}', /never fires/],
    ['{cron: "0 22 * * *", window: {close: 6:00}}', /time of day in quotes|must be of type string/],
    ['{cron: 5}', /schedule.cron: must be of type string/],
  ])('refuses %s', (text, words) => {
    const faults = faultsOf(`name: p\nschedule: ${text}`)
    expect(faults.join('\n')).toMatch(words)
    expect(faults.every((fault) => fault.startsWith('line 2: '))).toBe(true)
  })

  it('reads rules for alarms, and fills in what is left out', () => {
    const text = `name: p
alarms:
  rules:
    - {alarm: "*ransom*", action: backup+quarantine}
    - {alarm: "Datastore*", criticality: [red], action: backup, storage: true}
  debounce: 2h`
    expect(parsePolicy(text, 'p.yaml').alarms).toEqual({
      rules: [
        { alarm: '*ransom*', action: 'backup+quarantine' },
        { alarm: 'Datastore*', criticality: ['red'], action: 'backup', storage: true },
      ],
      debounceMs: 2 * 3_600_000,
      budgetPerDay: 20,
    })
    expect(faultsOf('name: p\nalarms: {rules: [{alarm: "x", action: delete}]}')[0]).toMatch(
      /^line 2: alarms.rules.0.action: must be "backup" or "backup\+quarantine" or "freeze-retention"/,
    )
  })
})
