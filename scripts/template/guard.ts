// Rules in the language of AWS CloudFormation Guard (infra/guard/*.guard), judged by its own program, which a package brings.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { isList, isValues, type TemplateFault, textOf, type Value, valuesOf } from './template.ts'

export type GuardAnswer = { readonly faults: readonly TemplateFault[]; readonly rulesPassed: readonly string[] }

/** Where the program is for this machine; null: the package has none. */
function guardProgram(): string | null {
  const places: Readonly<Record<string, string>> = {
    'linux-x64': 'ubuntu/x86_64',
    'linux-arm64': 'ubuntu/aarch64',
    'darwin-x64': 'macos/x86_64',
    'darwin-arm64': 'macos/aarch64',
  }
  const place = places[`${process.platform}-${process.arch}`]
  if (place === undefined) return null
  const entry = createRequire(import.meta.url).resolve('@cdklabs/cdk-validator-cfnguard/package.json')
  return join(dirname(entry), 'bin', place, 'cfn-guard')
}

/** @param files.template path of a template, JSON or YAML @param files.rules folder of .guard files */
export async function checkByGuard(files: { readonly template: string; readonly rules: string }): Promise<GuardAnswer> {
  const program = guardProgram()
  if (program === null) throw new Error(`There is no cfn-guard for ${process.platform}-${process.arch}`)
  const rules = readdirSync(files.rules)
    .filter((name) => name.endsWith('.guard'))
    .toSorted()
    .flatMap((name) => ['--rules', join(files.rules, name)])
  const args = ['validate', '--data', files.template, ...rules, '--structured', '--output-format', 'json']
  const child = spawn(program, [...args, '--show-summary', 'none'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, said]: [string[], string[]] = [[], []]
  child.stdout.setEncoding('utf8').on('data', (text) => out.push(text))
  child.stderr.setEncoding('utf8').on('data', (text) => said.push(text))
  const [code] = await once(child, 'close')
  // 0: all rules pass; 19: some do not. Anything else is a fault of the rules or of the program (cfn-guard, "exit codes").
  if (code !== 0 && code !== 19)
    throw new Error(`cfn-guard ended with exit code ${code}: ${said.join('')}${out.join('')}`)
  const reports: unknown = JSON.parse(out.join(''))
  const files_ = Array.isArray(reports) ? reports.filter(isValues) : []
  return {
    faults: files_.flatMap(faultsOf),
    rulesPassed: files_.flatMap((one) => listOfTexts(one['compliant'])),
  }
}

function faultsOf(report: { readonly [key: string]: Value }): readonly TemplateFault[] {
  const failed = report['not_compliant']
  return (isList(failed) ? failed : []).flatMap((one) => {
    const rule = valuesOf(valuesOf(one)['Rule'])
    const name = textOf(rule['name']) ?? 'a rule'
    const paths = [...new Set(pathsIn(rule['checks'] ?? null))]
    const message = `${name}: ${messageIn(rule['checks'] ?? null)}`
    return (paths.length === 0 ? ['Resources'] : paths).map((path) => ({ path, message }))
  })
}

/** Where the values lie that a rule was not content with: "/Resources/Name/Properties/…". */
function pathsIn(value: Value): readonly string[] {
  if (isList(value)) return value.flatMap(pathsIn)
  if (!isValues(value)) return []
  const own = textOf(value['path'])
  const below = Object.values(value).flatMap(pathsIn)
  return own?.startsWith('/Resources/') ? [own.slice(1).replaceAll('/', '.'), ...below] : below
}

function messageIn(value: Value): string {
  if (isList(value)) return value.map(messageIn).find((text) => text !== '') ?? ''
  if (!isValues(value)) return ''
  const own = textOf(valuesOf(value['messages'])['custom_message'])
  if (own !== undefined && own !== '') return own.trim()
  return (
    Object.values(value)
      .map(messageIn)
      .find((text) => text !== '') ?? ''
  )
}

function listOfTexts(value: Value | undefined): readonly string[] {
  return isList(value) ? value.flatMap((one) => textOf(one) ?? []) : []
}
