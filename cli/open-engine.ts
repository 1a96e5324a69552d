// Opens the engine that the environment names.

import { parseEngineChoice } from '../lib/wire/api/client-settings.ts'
import type { Engine } from './engine.ts'
import { localEngine } from './local-engine.ts'
import { remoteEngine } from './remote-engine.ts'
import type { World } from './world.ts'

/** @throws BackupError `settings-faulty` */
export function engineOf(world: World): Engine {
  const choice = parseEngineChoice(world.environment)
  return choice.kind === 'local' ? localEngine(world) : remoteEngine(choice, world)
}
