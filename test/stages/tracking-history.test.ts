// A long history of a VM whose tracking goes blind now and then: what is wrong is found, marked, and healed; and nothing else is marked
// but what follows a whole read and comes before the finding.

import { expect, it } from 'vitest'
import { KiB } from '../../lib/base/bytes.ts'
import { assert } from '../../lib/base/errors.ts'
import { seededRandom, wholeNumber } from '../../lib/base/random.ts'
import { listAnnotations } from '../../lib/repository/annotations.ts'
import { allPoints, backUpOne, wrongDisks } from './backups.ts'
import { newEngine } from './engine.ts'
import { addVm, cancel, newWorld, policyWith } from './world.ts'

const DISK_BYTES = 512 * KiB
const HALF = DISK_BYTES / 2

/**
 * The guest writes where tracking sees it to the first half of the disk, and where it may not to the second: what was written over
 * later, and seen then, no audit can find.
 */
async function live(seed: number): Promise<{ readonly wrong: readonly number[]; readonly found: number }> {
  const random = seededRandom(seed)
  const world = await newWorld({ seed })
  world.guestsWrite = false
  const vm = addVm(world, { diskBytes: [DISK_BYTES] })
  const engine = newEngine(world)
  const write = (from: number) => {
    const offsetBytes = from + wholeNumber(random, { low: 0, high: HALF - 100 })
    world.vcenter.write(vm, { key: 2000, offsetBytes, bytes: random.bytes(50) })
  }
  let found = 0
  const wrong = new Set<number>()
  for (let run = 1; run <= 12; run++) {
    write(0)
    vm.mishaps.trackingBlind = random.fraction() < 0.3
    if (vm.mishaps.trackingBlind) write(HALF)
    vm.mishaps.trackingBlind = false
    const auditPercent = run === 12 ? 100 : wholeNumber(random, { low: 0, high: 30 })
    const job = await backUpOne(engine, { policy: policyWith({ changeTracking: { auditPercent } }) })
    expect(job.outcome?.kind, `seed ${seed}, run ${run}`).toMatch(/success|warning/)
    const caught = job.notices.some(({ code }) => code === 'cbt-mismatch')
    if (caught) found++
    const points = await allPoints(world)
    const newest = points.at(-1)
    if (newest !== undefined && (await wrongDisks(world, newest)).length > 0) wrong.add(newest.envelope.sequence)
    // The run that finds it is right itself.
    if (caught) expect(wrong, `seed ${seed}, run ${run}`).not.toContain(newest?.envelope.sequence)
  }
  const { annotations } = await listAnnotations({ repository: world.repository }, cancel)
  const marked = new Set(annotations.map(({ sequence }) => sequence))
  for (const sequence of wrong) expect(marked, `seed ${seed}: point ${sequence} is wrong`).toContain(sequence)
  const points = await allPoints(world)
  for (const { envelope, body } of points)
    if (body.disks.every(({ readMode }) => readMode !== 'incremental')) expect(marked).not.toContain(envelope.sequence)
  const newest = points.at(-1)
  assert(newest !== undefined, 'there is a point')
  expect(await wrongDisks(world, newest), `seed ${seed}`).toEqual([])
  return { wrong: [...wrong], found }
}

it('every point that is wrong is marked once it can be known, and the newest is right', async () => {
  const first = Number(process.env['COLDFRAME_SEED'] ?? 1)
  let wrong = 0
  let found = 0
  for (let seed = first; seed < first + 8; seed++) {
    const life = await live(seed)
    wrong += life.wrong.length
    found += life.found
  }
  // The histories are worth something: there was something to find.
  expect(wrong).toBeGreaterThan(0)
  expect(found).toBeGreaterThan(0)
}, 60_000)
