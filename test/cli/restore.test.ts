// Naming points, disks and targets: what is there is never touched, and an older point is never taken for a newer one.

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { backUp, type Ended, type Home, jobsOf, openHome, openSim, type PointsData, type Sim } from '../flow/kit.ts'

const patience = { timeout: 120_000 }
const disposables = new AsyncDisposableStack()
let sim: Sim
let home: Home

beforeAll(async () => {
  sim = disposables.use(await openSim('--estate', 'small', '--change-tracking'))
  home = disposables.use(await openHome(sim))
  await backUp(home, ['cold-01'])
  await backUp(home, ['cold-01'])
}, 120_000)

afterAll(() => disposables.disposeAsync())

function endOf({ exitCode, document }: Ended): { readonly exitCode: number | null; readonly code: string | undefined } {
  return { exitCode, code: document?.error?.code }
}

it('a restore never touches what is there unless it is told to', patience, async () => {
  const target = join(home.folder, 'mine.raw')
  await writeFile(target, 'mine')
  expect(endOf(await home.run(['restore', 'cold-01@latest', '--to', target]))).toEqual({
    exitCode: 4,
    code: 'target-exists',
  })
  expect(await readFile(target, 'utf8')).toBe('mine')
  expect((await home.run(['restore', 'cold-01@latest', '--to', target, '--overwrite'])).exitCode).toBe(0)
  expect((await readFile(target)).byteLength).toBe(2 * 1024 * 1024)
})

it('a point, disk or place that is not there is told as that', patience, async () => {
  const ends: (readonly [readonly string[], number, string])[] = [
    [['restore', 'cold-01@99', '--to', 'x'], 3, 'point-not-found'],
    [['restore', 'cold-1@latest', '--to', 'x'], 3, 'point-not-found'],
    [['restore', 'cold-01', '--to', 'x'], 2, 'point-malformed'],
    [['restore', 'cold-01@latest', '--disk', '7', '--to', 'x'], 3, 'disk-not-found'],
    [['restore', 'cold-01@latest', '--to', 'no/such/folder/x'], 2, 'target-missing-folder'],
    [['verify', '0123456789'], 3, 'point-not-found'],
    [['points', '--vm', 'cold-1'], 3, 'vm-not-found'],
  ]
  for (const [args, exitCode, code] of ends) {
    expect({ args, ...endOf(await home.run(args)) }).toEqual({ args, exitCode, code })
  }
})

it('a run that its policy or a secret keeps from starting is told by its exit code', patience, async () => {
  await writeFile(join(home.folder, 'none.yaml'), 'name: none\nselect: {any: [{name: "nothing-*"}]}\n')
  const refused = await home.run(['backup', '--policy', 'none.yaml'])
  expect(endOf(refused)).toEqual({ exitCode: 3, code: 'nothing-selected' })
  const environment = { COLDFRAME_PASSPHRASE: undefined, COLDFRAME_PASSPHRASE_FILE: 'no-such-file' }
  const secret = await home.run(['backup', '--vm', 'cold-01'], { environment })
  expect(endOf(secret)).toEqual({ exitCode: 2, code: 'secret-missing' })
  expect((await jobsOf(home)).length).toBe(2)
})

it('a damaged restore point is listed as such, and no older one is taken for the latest', patience, async () => {
  const folder = join(home.repository, 'r')
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.rp')).toSorted()
  const newest = join(folder, names.at(-1) ?? '')
  const bytes = await readFile(newest)
  bytes.writeUInt8(bytes.readUInt8(60) ^ 1, 60)
  await writeFile(newest, bytes)

  const listed = await home.run<PointsData>(['points'])
  expect(endOf(listed)).toEqual({ exitCode: 5, code: 'integrity' })
  expect(listed.document?.data).toMatchObject({ points: [{ sequence: 1 }], unreadable: [{ sequence: 2 }] })
  const latest = await home.run(['restore', 'cold-01@latest', '--to', 'latest.raw'])
  expect(endOf(latest)).toEqual({ exitCode: 5, code: 'integrity' })
  expect((await home.run(['restore', 'cold-01@1', '--to', 'first.raw'])).exitCode).toBe(0)
  expect(endOf(await home.run(['verify', '--all']))).toEqual({ exitCode: 5, code: 'integrity' })
  expect((await readdir(home.folder)).filter((name) => name.endsWith('.part'))).toEqual([])
})
