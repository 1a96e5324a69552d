// Makes a clone ready to run: checks that the packages of package-lock.json and Node 24 are installed, else runs `npm ci`.
// Plain JavaScript for Node 18 and later, with no packages: it is the first thing that runs. Says nothing on stdout.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installedNode, judgeNode, neededNode, nodePackageOfThisMachine } from '../cli/node-24.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const lockPath = join(root, 'package-lock.json')
const stampPath = join(root, 'node_modules', '.coldframe-setup')

main()

function main() {
  const [major = 0] = process.versions.node.split('.').map(Number)
  const verdict = judgeNode(process.versions.node)
  if (major < 18) refuse(`Setup needs Node 18 or later, this is Node ${process.versions.node}`)
  if (verdict === 'older' && nodePackageOfThisMachine() === undefined) {
    refuse(
      `Coldframe needs Node ${neededNode} or later, this is Node ${process.versions.node}, ` +
        `and npm has no Node 24 for ${process.platform}-${process.arch}`,
    )
  }

  const lockText = readFileSync(lockPath, 'utf8')
  const stamp = `${createHash('sha256').update(lockText).digest('hex')} ${process.platform}-${process.arch}\n`
  if (!readyAsStamped(stamp)) {
    if (!matchesLock(JSON.parse(lockText))) install()
    writeFileSync(stampPath, stamp)
  }
  if (verdict === 'older' && installedNode(root) === undefined) {
    refuse(
      `Node ${neededNode} or later is needed, this is Node ${process.versions.node}, and npm did not install "${nodePackageOfThisMachine()}"`,
      'npm may be configured to omit optional packages: see "npm config get omit", then delete node_modules and try again',
    )
  }
}

/** @param {string} stamp */
function readyAsStamped(stamp) {
  return existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp && nodeIsThere()
}

function nodeIsThere() {
  return nodePackageOfThisMachine() === undefined || installedNode(root) !== undefined
}

/** Whether npm's own record of what it installed has every package of the lock that is not optional, in its version. */
function matchesLock(lock) {
  const hiddenPath = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(hiddenPath) || !nodeIsThere()) return false
  const installed = JSON.parse(readFileSync(hiddenPath, 'utf8')).packages ?? {}
  return Object.entries(lock.packages).every(
    ([path, entry]) =>
      path === '' ||
      entry.optional === true ||
      entry.devOptional === true ||
      (installed[path]?.version === entry.version && existsSync(join(root, path, 'package.json'))),
  )
}

function install() {
  process.stderr.write('Installing packages (npm ci), once\n')
  const npm = process.env.npm_execpath
  const isScript = npm !== undefined && /npm-cli\.[cm]?js$/.test(npm)
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--include=dev', '--include=optional']
  const result = spawnSync(isScript ? process.execPath : 'npm', isScript ? [npm, ...args] : args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, ...nativeBuildSettings() },
  })
  if (result.error !== undefined) refuse(`Cannot start npm: ${result.error.message}`)
  if (result.status !== 0)
    refuse(`"npm ci" failed with exit code ${result.status ?? result.signal}`, 'Its own words are above')
}

/** ssh2's optional native part must be built against the headers of the Node that will load it, not of this one. */
function nativeBuildSettings() {
  const name = nodePackageOfThisMachine()
  return name === undefined ? {} : { npm_config_nodedir: join(root, 'node_modules', name) }
}

/** @param {string} message @param {string} [hint] @returns {never} */
function refuse(message, hint) {
  process.stderr.write(`${message}\n${hint === undefined ? '' : `hint: ${hint}\n`}`)
  process.exit(2)
}
