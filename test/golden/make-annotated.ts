// Writes the golden repository with annotations of the present format version: one small point, and what is said about it. Run
// once; what lies in a golden folder is never written again, and is read by the tests for ever.
//
//   node test/golden/make-annotated.ts test/golden/annotated-v1

import { existsSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { folderStore } from '../../lib/adapters/local/folder-store.ts'
import { passphraseWrapper } from '../../lib/adapters/local/passphrase.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { annotatePoint, listAnnotations } from '../../lib/repository/annotations.ts'
import { publishCandidate } from '../../lib/repository/candidate.ts'
import { createRepository } from '../../lib/repository/open-repository.ts'
import { cancel, sessionOf, vmId, writeCandidate } from '../repository/kit.ts'

const passphrase = 'correct horse battery staple'
const target = process.argv[2]
if (target === undefined || existsSync(target)) throw new Error('Name a folder that does not exist yet')
const store = folderStore({ path: resolve(target, 'repository') })
const random = seededRandom(20_261_127)
const clock = manualClock()
const wrappers = [passphraseWrapper({ passphrase, random })]
const repository = await createRepository({ store, wrappers, random, clock }, cancel)
const sessionId = sessionOf('golden annotated')
const disk = {
  key: 2000,
  capacityBytes: 131_072,
  chunkLog2: 16,
  chunks: new Map([[0, Buffer.alloc(65_536, 'records\n')]]),
}
const point = await writeCandidate({ repository, sessionId, sequence: 1, parent: null, disks: [disk], random })
await publishCandidate({ repository, sessionId, clock }, cancel)
for (const name of ['first finder', 'second finder']) {
  const reason = `Disk "Hard disk 1": changes were left out, says the ${name} (äöü)`
  const said = { kind: 'unproven', reason, diskKeys: [2000], foundBy: sessionOf(name) } as const
  await annotatePoint({ repository, point: point.envelope, said, random, clock }, cancel)
}
const { annotations } = await listAnnotations({ repository }, cancel)
writeFileSync(join(target, 'expected.json'), `${JSON.stringify({ passphrase, vmId, annotations }, null, 1)}\n`)
