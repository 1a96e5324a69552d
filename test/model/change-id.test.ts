import { expect, it } from 'vitest'
import { changeIdBreak, parseChangeId } from '../../lib/model/change-id.ts'

const chain = '52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63'

it('a change id has a uuid and a counter, or proves nothing', () => {
  expect(parseChangeId(`${chain}/81`)).toEqual({ uuid: chain, counter: 81 })
  for (const text of ['', '*', '/1', chain, `${chain}/`, `${chain}/x`]) expect(parseChangeId(text)).toBe(null)
})

it('changes are trusted only along one chain and forwards', () => {
  expect(changeIdBreak(`${chain}/5`, `${chain}/5`)).toBe(null)
  expect(changeIdBreak(`${chain}/5`, `${chain}/6`)).toBe(null)
  // As numbers: as texts, 10 comes before 9.
  expect(changeIdBreak(`${chain}/9`, `${chain}/10`)).toBe(null)
  expect(changeIdBreak(`${chain}/6`, `${chain}/5`)).toBe('change-id-went-back')
  expect(changeIdBreak('other/5', `${chain}/6`)).toBe('change-id-other-chain')
  expect(changeIdBreak('*', `${chain}/6`)).toBe('change-id-unreadable')
})
