// The documents that `coldframe … --json` prints, as the demo reads them; fields it does not need are left alone.

import * as z from 'zod'

const backup = z.object({
  data: z.object({
    runId: z.string(),
    jobs: z.array(
      z.object({
        vm: z.object({ name: z.string() }),
        outcome: z.object({ kind: z.string(), message: z.string() }),
        pointId: z.string().nullable(),
        times: z.object({ startedAt: z.string().nullable(), doneAt: z.string().nullable() }),
      }),
    ),
  }),
})

const points = z.object({
  data: z.object({
    points: z.array(
      z.object({
        id: z.string(),
        vm: z.string(),
        sequence: z.int(),
        grade: z.string(),
        consistency: z.object({
          freezeMs: z.number(),
          proof: z.object({ thawedBy: z.string().nullable() }).nullable(),
        }),
        snapshotName: z.string(),
        storedBytes: z.int(),
        disks: z.array(
          z.object({
            key: z.int(),
            label: z.string(),
            capacityBytes: z.int(),
            readMode: z.string(),
            readBytes: z.int(),
            newStoredBytes: z.int(),
          }),
        ),
      }),
    ),
  }),
})

const restore = z.object({
  data: z.object({ files: z.array(z.object({ key: z.int(), path: z.string() })) }),
})

const script = z.object({ data: z.object({ key: z.string(), sha256: z.string() }) })

export type BackupDocument = z.infer<typeof backup>['data']
export type PointsDocument = z.infer<typeof points>['data']
export type RestoreDocument = z.infer<typeof restore>['data']

/** @throws ZodError or SyntaxError: the command is ours, a wrong document is a fault in it */
export function parseBackupDocument(text: string): BackupDocument {
  return backup.parse(JSON.parse(text)).data
}

export function parsePointsDocument(text: string): PointsDocument {
  return points.parse(JSON.parse(text)).data
}

export function parseRestoreDocument(text: string): RestoreDocument {
  return restore.parse(JSON.parse(text)).data
}

export function parseScriptDocument(text: string): z.infer<typeof script>['data'] {
  return script.parse(JSON.parse(text)).data
}
