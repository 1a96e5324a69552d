// `npm run lint:template`: bundles and packages the stack offline, and judges what would be deployed: against the CloudFormation
// resource specification, against the rules of infra/guard, and against what this project promises. Also judges templates that are
// deployed by hand (infra/data-account.yml). Prints what was checked and every fault; exit code 1 when there are any.

import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { bundleAll } from './bundle.ts'
import { checkByGuard } from './template/guard.ts'
import { packageStack } from './template/packaged.ts'
import { checkReferences } from './template/references.ts'
import { checkRules } from './template/rules.ts'
import { checkShapes } from './template/shapes.ts'
import { parseTemplateYaml, type Template, type TemplateFault } from './template/template.ts'

export type LintResult = {
  readonly resources: number
  readonly types: number
  readonly guardRules: number
  readonly faults: readonly TemplateFault[]
}

/** Templates that are written as they are deployed. */
export const PLAIN_TEMPLATES = ['infra/data-account.yml'] as const

if (import.meta.main) {
  const root = dirname(import.meta.dirname)
  const folder = await mkdtemp(join(tmpdir(), 'coldframe-lint-'))
  try {
    await bundleAll(root)
    const packaged = await packageStack(root, folder)
    const results = [
      { name: 'the packaged stack', result: await lintTemplate(packaged, root) },
      ...(await Promise.all(
        PLAIN_TEMPLATES.map(async (name) => ({ name, result: await lintPlainTemplate(join(root, name), root) })),
      )),
    ]
    for (const { name, result } of results) process.stdout.write(`${tell(result)}  ${name}\n`)
    process.exitCode = results.every(({ result }) => result.faults.length === 0) ? 0 : 1
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** @param packaged the template and the file that it was read from */
export async function lintTemplate(
  { template, path }: { readonly template: Template; readonly path: string },
  root: string,
): Promise<LintResult> {
  const { faults, rulesPassed } = await checkByGuard({ template: path, rules: join(root, 'infra', 'guard') })
  return {
    resources: Object.keys(template.Resources).length,
    types: new Set(Object.values(template.Resources).map(({ type }) => type)).size,
    guardRules: rulesPassed.length + new Set(faults.map(({ message }) => message.split(':')[0])).size,
    faults: [...checkShapes(template), ...checkReferences(template), ...checkRules(template), ...faults],
  }
}

export async function lintPlainTemplate(path: string, root: string): Promise<LintResult> {
  return await lintTemplate({ template: parseTemplateYaml(readFileSync(path, 'utf8')), path }, root)
}

function tell({ resources, types, guardRules, faults }: LintResult): string {
  const lines = faults.map(({ path, message }) => `${path}: ${message}\n`)
  const count = `${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}`
  return `${lines.join('')}${resources} resources of ${types} types checked, by ${guardRules} guard rules as well: ${count}`
}
