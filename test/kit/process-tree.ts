// Processes of this machine by their descent, as /proc tells it. Linux only.

import { readdir, readFile } from 'node:fs/promises'

/** The process, all that descend from it, and all of its session and process group; zombies are left out. */
export async function descendantsOf(root: number): Promise<readonly number[]> {
  const all = await processTable()
  const found = new Set<number>([root])
  for (let before = 0; before !== found.size; ) {
    before = found.size
    for (const { pid, parent, group, session } of all)
      if (found.has(parent) || group === root || session === root) found.add(pid)
  }
  return all.filter(({ pid, state }) => found.has(pid) && state !== 'Z' && state !== 'X').map(({ pid }) => pid)
}

/** SIGKILL to each; one that is gone is no error. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
}

/** Whether the process exists and is no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  return (await processTable()).some((each) => each.pid === pid && each.state !== 'Z' && each.state !== 'X')
}

type ProcessEntry = {
  readonly pid: number
  readonly state: string
  readonly parent: number
  readonly group: number
  readonly session: number
}

async function processTable(): Promise<readonly ProcessEntry[]> {
  const names = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name))
  const texts = await Promise.all(names.map((name) => readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')))
  return texts.flatMap((text, index) => {
    // The command between the brackets may hold anything, brackets too.
    const [state = '', parent, group, session] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return text === ''
      ? []
      : [
          {
            pid: Number(names[index]),
            state,
            parent: Number(parent),
            group: Number(group),
            session: Number(session),
          },
        ]
  })
}
