// What a container on ECS is told of its task (Amazon ECS Developer Guide, "task metadata endpoint version 4").

import * as z from 'zod'

const metadata = z.looseObject({
  LaunchType: z.string().optional(),
  /** Of the whole task, if it has any: vCPUs, and MiB. */
  Limits: z.looseObject({ CPU: z.number().positive(), Memory: z.number().positive() }).optional(),
})

/** @returns null for what is not metadata, and for a task whose time costs nothing: one on a machine of one's own */
export function parseTaskSize(text: string): { readonly vcpus: number; readonly memoryGb: number } | null {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return null
  }
  const { success, data } = metadata.safeParse(json)
  if (!success || data.Limits === undefined || data.LaunchType === 'EXTERNAL') return null
  return { vcpus: data.Limits.CPU, memoryGb: data.Limits.Memory / 1024 }
}
