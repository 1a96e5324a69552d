import { expect, it } from 'vitest'
import { seededRandom, systemRandom } from '../../lib/base/random.ts'
import { randomContract } from '../contract/random.ts'

randomContract('system', () => systemRandom)
randomContract('seeded', () => seededRandom(7))

it('a seed gives the same values again, another seed others', () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed)
    return [random.fraction(), ...random.bytes(9), random.fraction()]
  }
  expect(draw(42)).toEqual(draw(42))
  expect(draw(42)).not.toEqual(draw(43))
})
