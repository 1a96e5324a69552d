// What really freezes and thaws the simulated guest. Both scripts write the guest's own clock before anything else.

import { createHash } from 'node:crypto'
import { defaultPolicy, type Policy, type ScriptBundle } from '../../lib/model/policy.ts'
import { cancel, type World } from '../stages/world.ts'
import type { Ending, Plan } from './plan.ts'
import { FREEZE_LIMIT_MS } from './site.ts'

const ENDING_TEXTS: Readonly<Record<Ending, string>> = {
  plain: '',
  // Something that must stay alive while the guest is frozen, such as a client that holds a lock.
  holder: 'sleep 600 &',
  slow: 'sleep 0.7',
  hangs: 'sleep 600 & sleep 600',
  fails: 'exit 3',
}

const freezeText = (ending: Ending) => `#!/bin/sh
read -r up rest < /proc/uptime
echo "freeze $COLDFRAME_FREEZE $up" >> "$HOME/log"
guest-writes hold || exit 9
echo "held $COLDFRAME_FREEZE" >> "$HOME/log"
${ENDING_TEXTS[ending]}
`

// Who called for this thaw is the wrapper's own record of it.
const thawText = `#!/bin/sh
read -r up rest < /proc/uptime
read -r pid born session clock by < "../../f/$COLDFRAME_FREEZE/post-thaw.1.run"
echo "thaw $COLDFRAME_FREEZE $up $by" >> "$HOME/log"
guest-writes resume || exit 9
echo "resumed $COLDFRAME_FREEZE" >> "$HOME/log"
`

export async function policyOf(world: World, plan: Plan): Promise<Policy> {
  const base = defaultPolicy()
  const preFreeze = await store(world, 'freeze.sh', freezeText(plan.ending))
  const postThaw = await store(world, 'thaw.sh', thawText)
  return {
    ...base,
    consistency: { ...base.consistency, want: 'application', require: plan.require },
    guest: { ...base.guest, mode: plan.mode, order: plan.order, credentials: 'account' },
    scripts: { ...base.scripts, linux: { preFreeze, postThaw }, freezeLimitMs: FREEZE_LIMIT_MS },
    attemptsMax: plan.attemptsMax,
  }
}

async function store(world: World, name: string, text: string): Promise<ScriptBundle> {
  const bytes = new TextEncoder().encode(text)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const bundle = `scripts/${sha256.slice(0, 8)}/${name}`
  await world.store.putIfAbsent({ key: bundle, bytes }, cancel)
  return { bundle, sha256, entry: name, timeoutMs: 5_000, successCodes: [0], elevated: false }
}
