// The Dockerfile of tasks has no faults, and one mistake of every kind in it is found.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lintDockerfile } from '../../scripts/lint-dockerfile.ts'

const root = dirname(dirname(import.meta.dirname))
// The bundle need not be there: what is copied of it is looked for in task/ instead.
const text = readFileSync(join(root, 'task', 'Dockerfile'), 'utf8').replace('COPY build/task', 'COPY task')
const known = JSON.parse(readFileSync(join(root, 'task', 'debian-13-packages.json'), 'utf8'))

describe('task/Dockerfile', () => {
  it('has no faults', () => expect(lintDockerfile(text, { root, known })).toEqual([]))

  it.each([
    ['an instruction that is none', 'WORKDIR', 'WORKDIRS', 'Unknown instruction'],
    [
      'a package that Debian 13 does not have',
      'nbdkit-plugin-vddk',
      'nbdkit-vddk-plugin',
      '"nbdkit-vddk-plugin" is not known to be in Debian 13',
    ],
    ['a file that is not there', 'COPY package.json', 'COPY packages.json', 'there is no "packages.json" to copy'],
    ['root in the end', 'USER 10001:10001', 'USER root', 'ends as root'],
    ['lists that stay', ' && rm -rf /var/lib/apt/lists/*', '', "leaves apt's lists in the image"],
    ['what is only recommended', '--no-install-recommends ', '', 'installs what is only recommended'],
    ['an image without a tag', 'debian:trixie-slim', 'debian', 'names an image without a tag'],
    ['a fetch', 'COPY package.json', 'ADD package.json', 'ADD fetches'],
  ])('%s is found', (_name, from, to, found) => {
    const changed = text.replaceAll(from, to)
    expect(changed).not.toBe(text)
    expect(lintDockerfile(changed, { root, known }).join('\n')).toContain(found)
  })
})
