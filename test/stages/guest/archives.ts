// Archives as a test's own commands make them.

import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Runs the commands in an empty directory; they leave the archive in "$OUT". */
export async function makeArchive(commands: string): Promise<Uint8Array> {
  const directory = await mkdtemp(join(tmpdir(), 'coldframe-archive-'))
  const out = `${directory}.out`
  try {
    const env = { ...process.env, OUT: out }
    const { status, stderr } = spawnSync('/bin/bash', ['-ec', commands], { cwd: directory, env, encoding: 'utf8' })
    if (status !== 0) throw new Error(`The archive could not be made: ${stderr}`)
    return new Uint8Array(await readFile(out))
  } finally {
    await rm(directory, { recursive: true, force: true })
    await rm(out, { force: true })
  }
}
