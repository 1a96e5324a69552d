// `npm run lint:dockerfile`: what can be known of task/Dockerfile without building it: its syntax, that its packages are in Debian 13, that
// what it copies is there, and that its entry point runs from the bundle. `--refresh` asks Debian's mirror for the packages again, by apt
// with folders of its own, and writes task/debian-13-packages.json.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { bundleAll } from './bundle.ts'

type Known = {
  readonly release: string
  readonly asOf: string
  readonly packages: Readonly<Record<string, { readonly version: string; readonly component: string }>>
}

/** What dockerfile-utils says of one place; it ships no types for modules. */
type Diagnostic = { readonly message: string; readonly range: { readonly start: { readonly line: number } } }

type Instruction = { readonly line: number; readonly name: string; readonly text: string }

const requireHere = createRequire(import.meta.url)

if (import.meta.main) {
  const root = dirname(import.meta.dirname)
  const listPath = join(root, 'task', 'debian-13-packages.json')
  const text = readFileSync(join(root, 'task', 'Dockerfile'), 'utf8')
  if (process.argv.includes('--refresh')) writeFileSync(listPath, `${JSON.stringify(await askDebian(text), null, 2)}\n`)
  const known: Known = JSON.parse(readFileSync(listPath, 'utf8'))
  await bundleAll(root)
  const faults = [...lintDockerfile(text, { root, known }), ...checkEntryPoint(text, root)]
  process.stdout.write(faults.map((fault) => `task/Dockerfile:${fault}\n`).join(''))
  const count = `${instructionsOf(text).length} instructions and ${packagesOf(text).length} packages checked`
  process.stdout.write(`${count} (Debian 13 as of ${known.asOf}): ${faults.length} faults\n`)
  process.exitCode = faults.length === 0 ? 0 : 1
}

/** @returns faults, each "LINE message" */
export function lintDockerfile(
  text: string,
  { root, known }: { readonly root: string; readonly known: Known },
): readonly string[] {
  const instructions = instructionsOf(text)
  const { validate }: { readonly validate: (text: string) => readonly Diagnostic[] } = requireHere('dockerfile-utils')
  return [
    ...validate(text).map(({ message, range }) => `${range.start.line + 1} ${message}`),
    ...packagesOf(text).flatMap(({ line, name }) =>
      known.packages[name] === undefined ? [`${line} "${name}" is not known to be in Debian 13`] : [],
    ),
    ...instructions.flatMap((one) => copyFaults(one, root)),
    ...habitFaults(instructions),
  ]
}

/** Runs what ENTRYPOINT names, from the bundle: without arguments it must say how it is used. */
function checkEntryPoint(text: string, root: string): readonly string[] {
  const entry = instructionsOf(text).findLast(({ name }) => name === 'ENTRYPOINT')
  const [program, ...args]: readonly string[] = entry === undefined ? [] : JSON.parse(entry.text)
  const path = args.at(-1)?.replace(/^\/app\//, 'build/')
  if (entry === undefined || program !== 'node' || path === undefined) return ['1 has no ENTRYPOINT that runs node']
  if (!existsSync(join(root, path))) return [`${entry.line} there is no "${path}": run "npm run bundle"`]
  const { status, stderr } = spawnSync(process.execPath, [join(root, path)], { encoding: 'utf8', input: '', env: {} })
  const answers = status === 2 && stderr.includes('usage: ')
  return answers ? [] : [`${entry.line} the entry point ends with exit code ${status} instead of saying how it is used`]
}

function copyFaults({ line, name, text }: Instruction, root: string): readonly string[] {
  if (name !== 'COPY' || text.includes('--from=')) return []
  const places = text.split(/\s+/).slice(0, -1)
  return places.flatMap((place) => (existsSync(join(root, place)) ? [] : [`${line} there is no "${place}" to copy`]))
}

/** What this project holds an image to. */
function habitFaults(instructions: readonly Instruction[]): readonly string[] {
  const faults: string[] = []
  const stages = instructions.filter(({ name }) => name === 'FROM')
  for (const { line, name, text } of instructions) {
    if (name === 'ADD') faults.push(`${line} ADD fetches and unpacks by itself: use COPY`)
    if (name === 'RUN' && text.includes('apt-get install')) {
      if (!text.includes('--no-install-recommends')) faults.push(`${line} installs what is only recommended`)
      if (!text.includes('rm -rf /var/lib/apt/lists/*')) faults.push(`${line} leaves apt's lists in the image`)
      if (!text.includes('apt-get update')) faults.push(`${line} installs from lists of another layer`)
    }
    const [image = ''] = text.split(/\s+/)
    const isStage = stages.some((stage) => stage.text.endsWith(` AS ${image}`))
    if (name === 'FROM' && !isStage && !/:[^/]+$|@sha256:/.test(image))
      faults.push(`${line} names an image without a tag`)
  }
  const user = instructions.findLast(({ name }) => name === 'USER')
  if (user === undefined || /^(root|0)(:|$)/.test(user.text)) faults.push(`${user?.line ?? 1} ends as root`)
  return faults
}

/** Instructions with their continued lines joined, without comments. */
function instructionsOf(text: string): readonly Instruction[] {
  const found: Instruction[] = []
  let open: { line: number; text: string } | null = null
  for (const [index, line] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const joined: { line: number; text: string } = {
      line: open?.line ?? index + 1,
      text: `${open?.text ?? ''}${line.replace(/\\$/, ' ')}`,
    }
    open = line.endsWith('\\') ? joined : null
    if (open !== null) continue
    const [, name = '', rest = ''] = /^\s*([A-Za-z]+)\s+(.*)$/s.exec(joined.text) ?? []
    found.push({ line: joined.line, name: name.toUpperCase(), text: rest.trim() })
  }
  return found
}

function packagesOf(text: string): readonly { readonly line: number; readonly name: string }[] {
  return instructionsOf(text)
    .filter(({ name }) => name === 'RUN')
    .flatMap(({ line, text: run }) =>
      [...run.matchAll(/apt-get install ([^&|;]+)/g)]
        .flatMap(([, words = '']) => words.trim().split(/\s+/))
        .filter((word) => !word.startsWith('-'))
        .map((name) => ({ line, name })),
    )
}

/** Asks apt, with lists and caches of its own, so that this machine's are not touched. */
async function askDebian(text: string): Promise<Known> {
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-apt-'))
  try {
    for (const name of ['lists/partial', 'cache/archives/partial']) await mkdir(join(folder, name), { recursive: true })
    const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
    const sources = join(folder, 'sources.list')
    await writeFile(sources, `deb [signed-by=${keyring} arch=amd64] http://deb.debian.org/debian trixie main contrib\n`)
    const options = [
      ...['-o', `Dir::Etc::SourceList=${sources}`, '-o', 'Dir::Etc::SourceParts=/dev/null'],
      ...['-o', `Dir::State::Lists=${join(folder, 'lists')}`, '-o', `Dir::Cache=${join(folder, 'cache')}`],
      ...['-o', 'Dir::State::status=/dev/null', '-o', 'APT::Architecture=amd64'],
    ]
    run('apt-get', [...options, 'update'])
    const packages = packagesOf(text).map(({ name }) => {
      const told = run('apt-cache', [...options, 'show', '--no-all-versions', name])
      const field = (key: string) => new RegExp(`^${key}: (.*)$`, 'm').exec(told)?.[1] ?? ''
      const section = field('Section')
      return [
        name,
        { version: field('Version'), component: section.startsWith('contrib/') ? 'contrib' : 'main' },
      ] as const
    })
    const asOf = new Date().toISOString().slice(0, 10)
    return { release: 'trixie', asOf, packages: Object.fromEntries(packages.toSorted(([a], [b]) => (a < b ? -1 : 1))) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, [...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`"${program}" failed: ${error?.message ?? stderr}`)
  return stdout
}
