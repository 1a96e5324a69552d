// Groups of VMs that must not be stunned at the same time, such as the members of a cluster: pure names.

import type { Policy } from './policy.ts'
import type { VmSummary } from './vm.ts'

/** The groups that a VM is in: its policy's, and one for each tag of a category that the policy names. */
export function groupsOf(
  { tags }: Pick<VmSummary, 'tags'>,
  { name, antiAffinity }: Pick<Policy, 'name' | 'antiAffinity'>,
): readonly string[] {
  const ofTags = tags.filter((tag) => antiAffinity.tagCategories.includes(tag.split('/')[0] ?? ''))
  return [...(antiAffinity.policy ? [`policy/${name}`] : []), ...ofTags.map((tag) => `tag/${tag}`)].toSorted()
}
