import { passphraseWrapper } from '../../lib/adapters/local/passphrase.ts'
import { memoryKeyWrapper } from '../../lib/adapters/memory/key-wrapper.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { keyWrapperContract } from '../contract/key-wrapper.ts'

// The least that Argon2id takes: how hard guessing is made is not what the contract is about.
const cost = { memoryKiB: 64, passes: 1, lanes: 1 }

keyWrapperContract('passphrase', async () => ({
  wrapper: passphraseWrapper({ passphrase: 'correct horse', random: systemRandom, cost }),
  again: passphraseWrapper({ passphrase: 'correct horse', random: systemRandom }),
  other: passphraseWrapper({ passphrase: 'correct hors', random: systemRandom }),
  [Symbol.asyncDispose]: async () => undefined,
}))

keyWrapperContract('memory', async () => {
  const wrapper = memoryKeyWrapper()
  return {
    wrapper,
    again: wrapper,
    other: memoryKeyWrapper(),
    [Symbol.asyncDispose]: async () => undefined,
  }
})
