// The mover of a stack: a container on ECS.

import { readTaskSize } from '../adapters/aws/task-size.ts'
import { memoryMeter } from '../adapters/memory/meter.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { AttemptResult } from '../mover/hold.ts'
import type { MoveRequest } from '../mover/move.ts'
import { type AwsSettings, needed } from '../wire/aws-settings.ts'
import { openAwsRepository, openAwsState } from './aws-repository.ts'
import { type MoverProgram, runMover } from './mover.ts'

/** @throws what runMover() throws; BackupError when state, repository or key cannot be used, `settings-faulty` */
export async function runAwsMover(
  request: MoveRequest,
  { settings, program }: { readonly settings: AwsSettings; readonly program: MoverProgram },
  cancel: Cancel,
): Promise<AttemptResult> {
  const { around, log } = program
  const { vddk, admission } = settings
  const [vcenter, store] = [needed(settings, 'vcenter'), needed(settings, 'repository')]
  const meter = memoryMeter({ functionGb: 0 })
  const jobs = openAwsState(settings, { around, meter })
  const repository = await openAwsRepository(settings, { around, meter }, cancel)
  const taskSize = await readTaskSize(around.environment['ECS_CONTAINER_METADATA_URI_V4'], { log }, cancel)
  const parts = { jobs, repository, store, vcenter, vddk, admission, meter, taskSize }
  return await runMover(request, { parts, program }, cancel)
}
