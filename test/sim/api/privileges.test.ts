// The simulated vCenter knows every privilege that Coldframe asks for: an unknown one would count as missing.

import { expect, it } from 'vitest'
import { PRIVILEGE_NEEDS } from '../../../lib/model/privileges.ts'
import { privileges } from '../../../sim/api/objects/singletons.ts'

it('every privilege of the table is one that the simulator can grant', () => {
  const ids = new Set(PRIVILEGE_NEEDS.map(({ id }) => id))
  expect([...ids].filter((id) => !privileges().includes(id))).toEqual([])
})
