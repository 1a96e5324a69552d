#!/usr/bin/env node
// The `coldframe` command: a launcher that sees to it that main.ts runs on Node 24. Plain JavaScript for Node 18 and later.

import { spawn } from 'node:child_process'
import * as nodeModule from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installedNode, judgeNode, neededNode } from './node-24.mjs'

// Node resolves symbolic links of the main module, so that this is the clone's folder also when npm linked the bin.
const here = dirname(fileURLToPath(import.meta.url))
const verdict = judgeNode(process.versions.node)
const node = verdict === 'fits' ? undefined : installedNode(dirname(here))

if (node !== undefined) runOn(node)
else if (verdict !== 'older') {
  // Compiled code kept between commands halves the time that one takes to start; Node chooses the folder.
  nodeModule.enableCompileCache()
  await import('./main.ts')
} else {
  process.stderr.write(
    `coldframe needs Node ${neededNode} or later, this is Node ${process.versions.node}, and none is installed beside it\n` +
      `hint: run "npm ci" in "${dirname(here)}" (it brings its own Node 24), or install Node 24\n`,
  )
  process.exitCode = 2
}

/** Runs this same command on another Node, with our input, output and signals; ends as it ends. @param {string} path */
function runOn(path) {
  const child = spawn(path, [...process.execArgv, join(here, 'coldframe.mjs'), ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  // A terminal sends its signals to both of us; the child decides when to end, so we only pass on and wait.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`Cannot start "${path}": ${error.message}\n`)
    process.exit(2)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
