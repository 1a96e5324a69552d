// The doctor: looks at everything that a backup will need, side by side and each within its time, and predicts what it will be
// like. Reads only: makes no snapshot, and writes nothing anywhere.

import { quote } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { chooseVms } from '../../model/choose-vms.ts'
import type { VmSummary } from '../../model/vm.ts'
import type { VsphereSession } from '../../ports/vsphere.ts'
import { type Check, checkOf, failed, type Learned, learn, notChecked, ok, type Topic } from './check.ts'
import type { DoctorDeps, DoctorRequest, Look, Patients } from './deps.ts'
import { examineVms } from './examine.ts'
import type { Lack } from './judge-site.ts'
import {
  certificateVerdict,
  clockVerdict,
  nameVerdict,
  portVerdict,
  topicsOf,
  unreachedChecks,
  versionVerdict,
} from './vcenter.ts'
import type { VmReport } from './vm-report.ts'

export type DoctorReport = { readonly checks: readonly Check[]; readonly vms: readonly VmReport[] }

export async function examine(request: DoctorRequest, deps: DoctorDeps, cancel: Cancel): Promise<DoctorReport> {
  const looking = Promise.all(deps.looks.map((look) => takeLook(look, deps, cancel)))
  const lacksHere = looking.then((looked) => looked.flatMap(({ lacks }) => lacks))
  // Nobody may be left to ask.
  lacksHere.catch(() => undefined)
  const [machine, vcenter] = await Promise.all([looking, examineVcenter({ ...request, lacksHere }, deps, cancel)])
  return { checks: [...machine.flatMap(({ checks }) => checks), ...vcenter.checks], vms: vcenter.vms }
}

type Looked = { readonly checks: readonly Check[]; readonly lacks: readonly Lack[] }

async function takeLook({ topic, act, carries }: Look, deps: DoctorDeps, cancel: Cancel): Promise<Looked> {
  const learned = await learn(act, { clock: deps.clock, limitMs: deps.limits.lookMs, ...cancel })
  const checks = learned.kind === 'known' ? learned.value : [checkOf(topic, learned.verdict)]
  const bad = checks.find(({ state }) => state !== 'ok')
  return { checks, lacks: bad === undefined ? [] : carries.map((feature) => ({ feature, words: bad.found })) }
}

type Asked = DoctorRequest & Pick<Patients, 'lacksHere'>

async function examineVcenter(request: Asked, deps: DoctorDeps, cancel: Cancel): Promise<DoctorReport> {
  const { clock, probe, limits } = deps
  const { place, user, trust } = deps.vcenter
  const topics = topicsOf(place, user)
  const look = <Value>(act: (within: Cancel) => Promise<Value>) =>
    learn(act, { clock, limitMs: limits.lookMs, ...cancel })
  deps.say(`Looking at vCenter "${place.host}:${place.port}"`)
  const [addresses, connected, shown] = await Promise.all([
    look((within) => probe.resolve(place.host, within)),
    look((within) => probe.connect(place, within)),
    look((within) => probe.certificate(place, within)),
  ])
  const checks = [checkOf(topics.name, nameVerdict(addresses))]
  const rest = [topics.login, topics.version, topics.clock]
  if (addresses.kind === 'unknown') {
    const more = unreachedChecks([topics.port, topics.certificate, ...rest], `"${place.host}" has no address`)
    return { checks: [...checks, ...more], vms: [] }
  }
  checks.push(checkOf(topics.port, portVerdict(connected)))
  if (connected.kind === 'unknown') {
    const why = `"${place.host}:${place.port}" cannot be reached`
    return { checks: [...checks, ...unreachedChecks([topics.certificate, ...rest], why)], vms: [] }
  }
  const certificate = checkOf(topics.certificate, certificateVerdict(shown, trust, clock.nowMs()))
  checks.push(certificate)
  if (certificate.state === 'failed') {
    // Nothing, and no password least of all, is sent to a server that is not the one.
    return { checks: [...checks, ...unreachedChecks(rest, 'its certificate is not trusted')], vms: [] }
  }
  const opened = await learn((within) => deps.vsphere.open(within), { clock, limitMs: limits.callMs, ...cancel })
  if (opened.kind === 'unknown') {
    const more = unreachedChecks([topics.version, topics.clock], 'nobody is logged in')
    return { checks: [...checks, checkOf(topics.login, opened.verdict), ...more], vms: [] }
  }
  await using session = opened.value

  checks.push(checkOf(topics.login, ok('accepted')), checkOf(topics.version, versionVerdict(session)))
  const fromMs = clock.nowMs()
  const time = await look((within) => session.currentTime(within))
  checks.push(checkOf(topics.clock, clockVerdict(time, { fromMs, untilMs: clock.nowMs() })))
  const below = await examineBelow({ request, session }, deps, cancel)
  return { checks: [...checks, ...below.checks], vms: below.vms }
}

async function examineBelow(
  { request, session }: { readonly request: Asked; readonly session: VsphereSession },
  deps: DoctorDeps,
  cancel: Cancel,
): Promise<DoctorReport> {
  const { host, port } = deps.vcenter.place
  const topic: Topic = { id: 'vm.choice', about: `vCenter "${host}:${port}"`, tried: 'find the VMs' }
  if (request.vms?.length === 0) {
    const why = 'no VM is named, and no policy says which: give --vm or --policy'
    return { checks: [checkOf(topic, notChecked(why))], vms: [] }
  }
  const inventory = await learn((within) => session.listVms(within), {
    clock: deps.clock,
    limitMs: deps.limits.callMs,
    ...cancel,
  })
  const choice = chosenFrom(inventory, request)
  if ('check' in choice) return { checks: [checkOf(topic, choice.check)], vms: [] }
  const found = choice.vms.map(({ name }) => quote(name)).slice(0, 20)
  const more = choice.vms.length > found.length ? ` and ${choice.vms.length - found.length} more` : ''
  deps.say(`Looking at ${choice.vms.length === 1 ? '1 VM' : `${choice.vms.length} VMs`}`)
  const report = await examineVms(
    { policy: request.policy, lacksHere: request.lacksHere, session, ...choice },
    deps,
    cancel,
  )
  return { checks: [checkOf(topic, ok(`${found.join(', ')}${more}`)), ...report.checks], vms: report.vms }
}

function chosenFrom(
  inventory: Learned<readonly VmSummary[]>,
  request: DoctorRequest,
):
  | { readonly vms: readonly VmSummary[]; readonly inventory: readonly VmSummary[] }
  | { readonly check: Parameters<typeof checkOf>[1] } {
  if (inventory.kind === 'unknown') return { check: inventory.verdict }
  const choice = chooseVms(request, inventory.value)
  if ('vms' in choice) return { ...choice, inventory: inventory.value }
  const { message, hint, code } = choice.refusal
  return { check: { ...failed(message, hint ?? ''), code } }
}
