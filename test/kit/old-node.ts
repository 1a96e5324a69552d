// Looks for a Node on this machine that is too old for us, for tests of what happens when one runs us.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { judgeNode } from '../../cli/node-24.mjs'

/** The path of a system's Node of major 18 to 24.11, or undefined where every Node is new enough. */
export function findOldNode(): string | undefined {
  return ['/usr/bin/node', '/usr/local/bin/node'].filter(existsSync).find((path) => {
    const version = execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim()
    return judgeNode(version) === 'older' && Number(version.split('.')[0]) >= 18
  })
}
