// coldframe init: creates the repository, proves that it opens, adds a key of KMS, and says how the bucket is set up.

import { type InitReport, initRepository } from '../lib/compose/init-repository.ts'
import type { Answer } from './answer.ts'
import { readSettings } from './settings.ts'
import { printable } from './terminal.ts'
import type { World } from './world.ts'

export async function init(options: { readonly kmsKey?: string }, world: World): Promise<Answer> {
  const settings = await readSettings(world, ['repository'])
  const report = await initRepository({ settings, kmsKey: options.kmsKey ?? null }, world, world)
  return { data: report, text: textOf(report), fault: null }
}

const signs = { ok: 'ok     ', warning: 'WARNING', unseen: '?      ' } as const

function textOf({ repository, repositoryId, created, kmsKey, bucket }: InitReport): string {
  const lines = [
    created ? `Created repository ${repositoryId} at ${repository}` : `Repository ${repositoryId} is at ${repository}`,
    'It opens by the passphrase: keep it where neither this machine nor the account can take it along',
    ...(kmsKey === null
      ? []
      : [`It opens by ${kmsKey.arn}, too (${kmsKey.state === 'added' ? 'added' : 'it did before'})`]),
    ...(bucket ?? []).flatMap(({ verdict, found, next }) => [
      `${signs[verdict]} ${found}`,
      ...(next === null ? [] : [`        ${next}`]),
    ]),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}
