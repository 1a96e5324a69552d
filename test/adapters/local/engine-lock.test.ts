import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { takeEngineLock } from '../../../lib/adapters/local/engine-lock.ts'
import { temporaryFolder } from '../../kit/local-state.ts'
import { startProgram } from '../../kit/programs.ts'

const holder = join(import.meta.dirname, 'programs', 'hold-lock.ts')

describe('the engine lock', () => {
  it('is held by one at a time, also within one process', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'home', 'engine.lock')
    using first = takeEngineLock(path)

    expect(first).not.toBe(null)
    expect(takeEngineLock(path)).toBe(null)
    first?.[Symbol.dispose]()
    using second = takeEngineLock(path)
    expect(second).not.toBe(null)
  })

  it('is free at once when its holder is killed', async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'engine.lock')
    await using first = startProgram(holder, [path])
    expect(await first.line()).toBe('held')
    await using second = startProgram(holder, [path])
    expect(await second.line()).toBe('refused')
    expect(takeEngineLock(path)).toBe(null)

    await first.kill('SIGKILL')
    using lock = takeEngineLock(path)
    expect(lock).not.toBe(null)
  })

  it('says that it cannot be made where nothing may be written', async () => {
    await using folder = await temporaryFolder()
    await writeFile(join(folder.path, 'file'), '')

    expect(() => takeEngineLock(join(folder.path, 'file', 'engine.lock'))).toThrow(
      expect.objectContaining({ code: 'state-unwritable' }),
    )
  })
})
