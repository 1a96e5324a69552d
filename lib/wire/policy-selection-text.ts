// Which VMs and disks, as a policy's YAML says it.

import * as z from 'zod'
import type { Policy, Selector } from '../model/policy.ts'
import { pattern } from './policy-scalars.ts'

const shortForm = 'Patterns: "*" is any run of characters, "?" one; case does not count'

export const selector = z
  .strictObject({
    name: z.exactOptional(pattern.meta({ description: `The VM's name. ${shortForm}`, examples: ['db-*'] })),
    tag: z.exactOptional(
      pattern
        .regex(/^[^/]+\/.+$/, 'must be "category/tag"')
        .meta({ description: 'One of its tags, as "category/tag"', examples: ['backup/gold'] }),
    ),
    folder: z.exactOptional(
      pattern
        .regex(/^\//, 'must start with "/", for example "/DC/folder"')
        .meta({ description: 'Its folder or one above it', examples: ['/DC1/production'] }),
    ),
    cluster: z.exactOptional(pattern.meta({ description: "Its host's cluster" })),
    resourcePool: z.exactOptional(pattern.meta({ description: 'Its resource pool' })),
    datastore: z.exactOptional(pattern.meta({ description: 'One of its datastores' })),
  })
  .refine((conditions) => Object.keys(conditions).length > 0, {
    error: 'an empty condition would match every VM; write {name: "*"} if you mean that',
  })
  .meta({ minProperties: 1, description: 'One condition on a VM: everything that is named must hold' })

export const selection = z
  .strictObject({
    any: z.array(selector).min(1, 'needs at least one condition').meta({ description: 'A VM must match one of these' }),
    all: z.array(selector).default([]).meta({ description: 'and all of these' }),
    none: z.array(selector).default([]).meta({ description: 'and none of these' }),
  })
  .meta({ description: 'Which VMs; asked of vCenter at each start, so that new VMs are found' })

export const disks = z
  .strictObject({
    exclude: z
      .array(pattern)
      .default([])
      .meta({ description: 'Labels or file names of disks that are left out, and named on each point' }),
  })
  .meta({ description: 'Which disks of the selected VMs' })

export function selectionOf(
  select: {
    readonly [part in keyof Policy['select']]: readonly Selector[]
  },
): Policy['select'] {
  return { any: select.any, all: select.all, none: select.none }
}
