// A CloudFormation template as JSON, and the service folder that it comes from: bundles and template are made in a folder of their own,
// so that tests side by side do not clash.

import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unzipSync } from 'fflate'
import { bundle, findEntries } from '../../scripts/bundle.ts'
import { runPackage } from '../../scripts/template/packaged.ts'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
export type JsonObject = { readonly [key: string]: Json }

export type TemplateResource = {
  readonly Type: string
  readonly Properties?: JsonObject
  readonly Condition?: string
}

export type TemplateParameter = {
  readonly Type: string
  readonly Default?: string | number
  readonly AllowedPattern?: string
  readonly AllowedValues?: readonly (string | number)[]
  readonly MinValue?: number
  readonly MaxValue?: number
}

export type Template = {
  readonly Parameters?: Readonly<Record<string, TemplateParameter>>
  readonly Mappings?: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, Json>>>>>>
  readonly Conditions?: Readonly<Record<string, Json>>
  readonly Resources: Readonly<Record<string, TemplateResource>>
  readonly Outputs?: Readonly<Record<string, JsonObject>>
}

export type PackagedStack = {
  /** What lies in build/ afterwards: functions and task, as bundled. */
  readonly folder: string
  readonly template: Template
}

/** What `serverless package` reads besides the bundles. */
const PARTS = ['serverless.yml', 'package.json', 'functions', 'infra', 'docs', 'events', 'scripts', 'task']

/**
 * Bundles and packages the service into `folder`, offline and without credentials.
 * @param root the project
 */
export async function packageInto(folder: string, root: string): Promise<PackagedStack> {
  await mkdir(folder, { recursive: true })
  for (const part of PARTS) await cp(join(root, part), join(folder, part), { recursive: true })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await bundle(root, { entries: findEntries(root), folder: join(folder, 'build') })
  await writeFile(join(folder, 'build', 'package.json'), await readFile(join(root, 'package.json')))
  await runPackage(root, { cwd: folder, home: folder, args: [] })
  const text = await readFile(join(folder, '.serverless', 'cloudformation-template-update-stack.json'), 'utf8')
  return { folder, template: JSON.parse(text) as Template }
}

/** Lays out one function's package as Lambda does. @returns the task root */
export async function unpackFunction(packaged: PackagedStack, name: string): Promise<string> {
  const target = join(packaged.folder, 'var', 'task', name)
  const files = unzipSync(await readFile(join(packaged.folder, '.serverless', `${name}.zip`)))
  for (const [path, bytes] of Object.entries(files)) {
    if (path.endsWith('/')) continue
    await mkdir(join(target, path, '..'), { recursive: true })
    await writeFile(join(target, path), bytes)
  }
  return target
}
