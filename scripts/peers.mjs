// Installs the independent programs that real tests run against: from Debian's packages when root, and vcsim from
// Debian's govmomi library with our own main.go, and our nbdkit plugin that stands in for VMware's VDDK. Plain JavaScript without packages: it runs before npm has installed
// anything. Says nothing and takes little time when all is there. Settings: COLDFRAME_REAL=skip does nothing at all.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const required = process.env.COLDFRAME_REAL === 'required'

/** Debian's packages, each with a file that shows it is installed (cheaper to look at than to ask dpkg). */
const packages = [
  ['golang-go', '/usr/bin/go'],
  ['golang-github-vmware-govmomi-dev', '/usr/share/gocode/src/github.com/vmware/govmomi/simulator'],
  ['python3-pyvmomi', '/usr/lib/python3/dist-packages/pyVmomi'],
  ['python3-boto3', '/usr/lib/python3/dist-packages/boto3'],
  ['python3-winrm', '/usr/lib/python3/dist-packages/winrm'],
  ['python3-gssapi', '/usr/lib/python3/dist-packages/gssapi'],
  ['gss-ntlmssp', '/etc/gss/mech.d/mech.ntlmssp.conf'],
  ['libvirt-clients', '/usr/bin/virsh'],
  ['nbdkit', '/usr/bin/nbdkit'],
  ['nbdkit-plugin-dev', '/usr/include/nbdkit-plugin.h'],
  ['gcc', '/usr/bin/gcc'],
  ['libc6-dev', '/usr/include/stdio.h'],
  ['libnbd-bin', '/usr/bin/nbdcopy'],
  ['qemu-utils', '/usr/bin/qemu-img'],
  ['e2fsprogs', '/sbin/mke2fs'],
  ['zstd', '/usr/bin/zstd'],
  ['gnutls-bin', '/usr/bin/certtool'],
  ['openssh-server', '/usr/sbin/sshd'],
  ['sudo', '/usr/bin/sudo'],
  ['tcsh', '/bin/tcsh'],
  ['fish', '/usr/bin/fish'],
  ['busybox', '/usr/bin/busybox'],
  ['openssl', '/usr/bin/openssl'],
  ['curl', '/usr/bin/curl'],
  ['jq', '/usr/bin/jq'],
  ['snmp', '/usr/bin/snmptrap'],
  ['snmptrapd', '/usr/sbin/snmptrapd'],
]

if (process.env.COLDFRAME_REAL !== 'skip') {
  const complete = installPackages() && buildVcsim() && buildVddkPlugin()
  if (complete) fetchDebianVddk()
  process.exitCode = complete || !required ? 0 : 1
}

/** @returns whether every package is there afterwards */
function installPackages() {
  const missing = packages.filter(([, sign]) => !existsSync(sign)).map(([name]) => name)
  if (missing.length === 0) return true
  const why = whyNot()
  if (why !== undefined) return complain(`not installed: ${missing.join(' ')} (${why})`)
  say(`installing ${missing.join(' ')}`)
  const installed = withoutStartingServers(
    () => apt(['update']) && apt(['install', '-y', '--no-install-recommends', ...missing]),
  )
  if (!installed) return complain(`apt-get could not install ${missing.join(' ')}`)
  const absent = packages.filter(([, sign]) => !existsSync(sign)).map(([name, sign]) => `${name} (${sign})`)
  return absent.length === 0 || complain(`installed, but without the expected files: ${absent.join(', ')}`)
}

/** @returns {string | undefined} why packages cannot be installed on this machine */
function whyNot() {
  if (process.getuid?.() !== 0) return 'only root can'
  return existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get') ? undefined : 'this is not Debian'
}

/** @param {readonly string[]} args */
function apt(args) {
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0']
  return run('apt-get', [...options, ...args], { DEBIAN_FRONTEND: 'noninteractive' })
}

/** Debian starts a server when it installs one; tests start their own, on loopback. @param {() => boolean} install */
function withoutStartingServers(install) {
  const policy = '/usr/sbin/policy-rc.d'
  if (existsSync(policy)) return install()
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    return install()
  } finally {
    rmSync(policy, { force: true })
  }
}

/** Builds build/peers/vcsim unless it was built from these very sources. @returns whether it is there */
function buildVcsim() {
  const source = join(root, 'test', 'real', 'vcsim', 'main.go')
  const folder = join(root, 'build', 'peers')
  const target = join(folder, 'vcsim')
  const govmomi = '/usr/share/gocode/src/github.com/vmware/govmomi/simulator/simulator.go'
  const version = `${statSync(govmomi).mtimeMs} ${statSync('/usr/bin/go').mtimeMs}`
  const stamp = createHash('sha256').update(readFileSync(source)).update(version).digest('hex')
  const stampPath = `${target}.sha256`
  if (existsSync(target) && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return true

  say('building vcsim (about half a minute, once)')
  mkdirSync(folder, { recursive: true })
  const made = join(folder, `vcsim.${process.pid}`)
  const built = run('/usr/bin/go', ['build', '-o', made, source], {
    GO111MODULE: 'off',
    GOFLAGS: '',
    GOPROXY: 'off',
    GOTOOLCHAIN: 'local',
    CGO_ENABLED: '0',
    GOPATH: `${join(folder, 'gopath')}:/usr/share/gocode`,
    GOCACHE: process.env.GOCACHE ?? join(folder, 'gocache'),
  })
  if (!built) return complain('vcsim did not compile')
  renameSync(made, target)
  writeFileSync(stampPath, stamp)
  return true
}

/** Builds build/peers/nbdkit-vddk-plugin.so. @returns whether it is there */
function buildVddkPlugin() {
  const target = join(root, 'build', 'peers', 'nbdkit-vddk-plugin.so')
  const source = join(root, 'test', 'real', 'vddk', 'plugin.c')
  return buildShared(source, target) || complain('the vddk plugin did not compile')
}

/** Compiles a shared library unless it was built from this very source. @param {string} source @param {string} target */
function buildShared(source, target) {
  const version = `${statSync('/usr/include/nbdkit-plugin.h').mtimeMs}`
  const stamp = createHash('sha256').update(readFileSync(source)).update(version).digest('hex')
  const stampPath = `${target}.sha256`
  if (existsSync(target) && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return true

  mkdirSync(dirname(target), { recursive: true })
  const made = `${target}.${process.pid}`
  const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-fPIC', '-shared', '-pthread']
  if (!run('/usr/bin/gcc', [...flags, '-o', made, source], {})) return false
  renameSync(made, target)
  writeFileSync(stampPath, stamp)
  return true
}

/**
 * nbdkit's own vddk plugin is in Debian 13's contrib only; its file runs in Debian 12's nbdkit, too. Fetched once, beside the system's own
 * lists and packages, where there is a network; tests against it run where it is there. Tried again after a day.
 */
function fetchDebianVddk() {
  const folder = join(root, 'build', 'peers', 'debian-vddk')
  const plugin = join(folder, 'nbdkit-vddk-plugin.so')
  const tried = join(folder, 'tried')
  if (existsSync(plugin)) {
    buildShared(join(root, 'test', 'real', 'vddk', 'vix-disk-lib.c'), join(folder, 'libvixDiskLib.so.8'))
    return
  }
  if (whyNot() !== undefined || (existsSync(tried) && Date.now() - statSync(tried).mtimeMs < 86_400_000)) return
  const apt = join(folder, 'apt')
  mkdirSync(join(apt, 'lists', 'partial'), { recursive: true })
  mkdirSync(join(apt, 'cache', 'archives', 'partial'), { recursive: true })
  writeFileSync(tried, '')
  writeFileSync(
    join(apt, 'trixie.list'),
    'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie contrib\n',
  )
  const options = [
    `Dir::State::lists=${join(apt, 'lists')}`,
    `Dir::Cache=${join(apt, 'cache')}`,
    `Dir::Etc::sourcelist=${join(apt, 'trixie.list')}`,
    'Dir::Etc::sourceparts=/dev/null',
    'Acquire::http::Timeout=5',
    'Acquire::Retries=0',
  ].flatMap((option) => ['-o', option])
  const quietly = { cwd: apt, stdio: /** @type {const} */ ('ignore'), timeout: 60_000 }
  spawnSync('apt-get', ['-q', ...options, 'update'], quietly)
  spawnSync('apt-get', ['-q', ...options, 'download', 'nbdkit-plugin-vddk'], quietly)
  const archive = readdirSync(apt).find((name) => name.endsWith('.deb'))
  if (archive !== undefined) spawnSync('dpkg', ['-x', archive, 'files'], quietly)
  const file = join(apt, 'files', 'usr', 'lib', 'x86_64-linux-gnu', 'nbdkit', 'plugins', 'nbdkit-vddk-plugin.so')
  if (existsSync(file)) renameSync(file, plugin)
  rmSync(apt, { recursive: true, force: true })
  if (existsSync(plugin)) fetchDebianVddk()
  else say("nbdkit's own vddk plugin could not be fetched from Debian 13: tests against it are skipped")
}

/** @param {string} command @param {readonly string[]} args @param {Record<string, string>} environment */
function run(command, args, environment) {
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, ...environment },
  })
  if (error !== undefined) say(`cannot start ${command}: ${error.message}`)
  return status === 0
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`peers: ${text}\n`)
}

/** @param {string} text @returns {false} */
function complain(text) {
  process.stderr.write(`\n*** peers: ${text} ***\n${required ? '' : '*** tests against them are skipped ***\n'}\n`)
  return false
}
