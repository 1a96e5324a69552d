// The template that `serverless package` makes: offline, without credentials, into a folder of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseTemplateJson, type Template } from './template.ts'

export type Packaged = { readonly template: Template; readonly path: string }

/**
 * Needs the bundles (scripts/bundle.ts).
 * @param folder what is made goes into its `package`; it also stands in for the home folder, so that no credentials are found
 */
export async function packageStack(root: string, folder: string): Promise<Packaged> {
  await runPackage(root, { cwd: root, home: folder, args: ['--package', join(folder, 'package')] })
  const path = join(folder, 'package', 'cloudformation-template-update-stack.json')
  return { path, template: parseTemplateJson(await readFile(path, 'utf8')) }
}

/**
 * Runs `serverless package`, as whoever has no account of AWS and no network. The bundles are made.
 * @param root the project, for its packages
 * @throws Error when it fails, or warns of anything
 */
export async function runPackage(
  root: string,
  { cwd, home, args }: { readonly cwd: string; readonly home: string; readonly args: readonly string[] },
): Promise<void> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(AWS_|SLS_|SERVERLESS_)/.test(name))
  const nowhere = {
    HOME: home,
    // A proxy that is not there: any call to the network fails.
    HTTPS_PROXY: 'http://127.0.0.1:9',
    HTTP_PROXY: 'http://127.0.0.1:9',
    CI: 'true',
    COLDFRAME_BUNDLES: 'made',
  }
  const program = join(root, 'node_modules', 'serverless', 'bin', 'serverless.js')
  const child = spawn(process.execPath, [program, 'package', ...args], {
    cwd,
    env: { ...Object.fromEntries(kept), ...nowhere },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => output.push(text))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`Cannot package the stack (exit code ${code}):\n${output.join('')}`)
  const said = output.join('')
  if (/warning|deprecat/i.test(said)) throw new Error(`Packaging the stack says:\n${said}`)
}
