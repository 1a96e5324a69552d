// The key wrapper of one machine: the passphrase of its settings opens the repository.

import { passphraseWrapper } from '../adapters/local/passphrase.ts'
import { localSecrets } from '../adapters/local/secrets.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { KeyWrapper } from '../ports/keys.ts'
import type { SecretReference } from '../wire/settings.ts'
import type { Surroundings } from './vsphere-settings.ts'

/** @throws BackupError `secret-missing` (kind usage) */
export async function passphraseKey(
  passphrase: SecretReference,
  { environment, random }: Pick<Surroundings, 'environment' | 'random'>,
  cancel: Cancel,
): Promise<KeyWrapper> {
  const secrets = localSecrets({ references: { passphrase }, environment })
  return passphraseWrapper({ passphrase: await secrets.read('passphrase', cancel), random })
}
