// What the simulator prints and its control port answers, as the demo reads it.

import * as z from 'zod'

const started = z.object({
  url: z.string(),
  sdkUrl: z.string(),
  controlUrl: z.string(),
  user: z.string(),
  password: z.string(),
  thumbprintSha256: z.string(),
})

/** The one line that a started simulator prints. */
export type SimulatorStarted = z.infer<typeof started>

const frozen = z.array(
  z.object({
    vm: z.string(),
    snapshot: z.string(),
    disks: z.array(z.object({ deviceKey: z.int(), capacityBytes: z.int(), sha256: z.string() })),
  }),
)

/** Every snapshot ever taken, with the digests of its disks at that moment. */
export type FrozenSnapshots = z.infer<typeof frozen>

/** @throws ZodError: the simulator is ours, a wrong line is a fault in it */
export function parseSimulatorStarted(line: string): SimulatorStarted {
  return started.parse(JSON.parse(line))
}

export function parseFrozenSnapshots(text: string): FrozenSnapshots {
  return frozen.parse(JSON.parse(text))
}
