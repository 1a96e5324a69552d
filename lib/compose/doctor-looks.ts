// What the doctor looks at on this machine: its secrets, its folders, the repository.

import { lookAtBucket } from '../adapters/aws/s3-bucket-look.ts'
import { lookAtFolder } from '../adapters/local/folder-look.ts'
import { knownRepositories } from '../adapters/local/known-repositories.ts'
import { localSecrets } from '../adapters/local/secrets.ts'
import { GiB } from '../base/bytes.ts'
import { hasCode, quote } from '../base/errors.ts'
import { formatBytes } from '../base/text.ts'
import type { Cancel } from '../base/time-limit.ts'
import {
  type Check,
  checkOf,
  failed,
  notChecked,
  ok,
  type Topic,
  type Verdict,
  warning,
} from '../operate/doctor/check.ts'
import type { Look } from '../operate/doctor/deps.ts'
import { type BucketPlace, placeName } from '../wire/repository-place.ts'
import type { SecretReference, Settings } from '../wire/settings.ts'
import { openBucketClient } from './bucket-store.ts'
import { openLocalRepository } from './local-mover.ts'
import { knownRepositoriesOf } from './local-places.ts'
import type { Surroundings } from './vsphere-settings.ts'

const ABOUT = 'this machine'
const REPOSITORY_BYTES_LEAST = GiB
const FREE_SHARE_LEAST = 0.1

export function machineLooks(settings: Settings, around: Surroundings): readonly Look[] {
  const { vcenter, passphrase, home, repository } = settings
  return [
    ...(vcenter === null ? [] : [secretLook('password', "read vCenter's password", vcenter.password, around)]),
    ...(passphrase === null
      ? []
      : [secretLook('passphrase', 'read the passphrase of the repository', passphrase, around)]),
    folderLook({ id: 'machine.home', about: ABOUT, tried: `look at its home ${quote(home)}` }, home),
    ...repositoryLooks(settings, repository, around),
  ]
}

function look(topic: Topic, act: (cancel: Cancel) => Promise<Verdict>): Look {
  return { topic, carries: [], act: async (cancel): Promise<readonly Check[]> => [checkOf(topic, await act(cancel))] }
}

function secretLook(name: string, tried: string, reference: SecretReference, { environment }: Surroundings): Look {
  const secrets = localSecrets({ references: { [name]: reference }, environment })
  const from =
    reference.kind === 'file' ? `from ${quote(reference.path)}` : `from the variable ${quote(reference.name)}`
  return look({ id: `machine.${name}`, about: ABOUT, tried }, async (cancel) => {
    await secrets.read(name, cancel)
    return ok(from)
  })
}

function folderLook(topic: Topic, path: string): Look {
  return look(topic, async () => {
    const { exists, freeBytes, totalBytes, folder } = await lookAtFolder(path)
    const space = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free`
    const found = exists ? space : `made when first needed, in ${quote(folder)}; ${space}`
    const next = 'Free space there, or name another folder'
    if (freeBytes < REPOSITORY_BYTES_LEAST) return failed(found, next, formatBytes(REPOSITORY_BYTES_LEAST))
    if (freeBytes < totalBytes * FREE_SHARE_LEAST) return warning(found, next, `${FREE_SHARE_LEAST * 100} %`)
    return ok(found)
  })
}

function repositoryLooks(settings: Settings, place: Settings['repository'], around: Surroundings): readonly Look[] {
  const topic: Topic = { id: 'repository.open', about: 'repository', tried: 'open it' }
  if (place === null) {
    const next = 'Set COLDFRAME_REPOSITORY and COLDFRAME_PASSPHRASE_FILE before the first backup'
    return [look(topic, async () => ({ ...notChecked('COLDFRAME_REPOSITORY is not set'), next }))]
  }
  const about = `repository ${quote(placeName(place))}`
  const open = look({ ...topic, about }, async (cancel) => {
    if (settings.passphrase === null)
      return failed('COLDFRAME_PASSPHRASE or COLDFRAME_PASSPHRASE_FILE is not set', 'Set one of them', 'its passphrase')
    try {
      const { id } = await openLocalRepository(settings, around, cancel)
      return ok(`it is ${quote(id)}`)
    } catch (error) {
      if (!hasCode(error, 'repository-missing')) throw error
      const before = knownRepositories(knownRepositoriesOf(settings.home)).find(placeName(place))
      if (before === null) return ok('there is none yet: the first backup makes it')
      const next = `Bring back what was there; to begin a new repository there, remove "${before.file}"`
      const verdict = failed(`there is nothing where repository "${before.repositoryId}" was`, next)
      return { ...verdict, code: 'repository-missing' }
    }
  })
  // An object that is stored stays: nothing is put there to see whether it could be.
  if (place.kind === 's3') return [open, bucketLook(place, { about, around })]
  const tried = 'look at its folder (nothing is written)'
  return [open, folderLook({ id: 'repository.write', about, tried }, place.folder)]
}

/** How the bucket is set up; what may not be seen is told so. */
function bucketLook(
  place: BucketPlace,
  { about, around }: { readonly about: string; readonly around: Surroundings },
): Look {
  const topic: Topic = { id: 'repository.bucket', about, tried: 'look at how its bucket is set up' }
  const act = async (cancel: Cancel): Promise<readonly Check[]> => {
    const findings = await lookAtBucket(openBucketClient(place, around), cancel)
    return findings.map(({ id, verdict, found, next }) => {
      const own = { ...topic, id: `repository.${id}` }
      if (verdict === 'unseen') return checkOf(own, notChecked(found))
      return checkOf(own, verdict === 'ok' ? ok(found) : warning(found, next ?? ''))
    })
  }
  return { topic, carries: [], act }
}
