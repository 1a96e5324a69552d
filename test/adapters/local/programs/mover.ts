// Stands for a mover: runs until its parent is gone, or ends at once. Usage: mover.ts wait|exit=N move --job J --attempt A

import { watchParent } from '../../../../lib/adapters/local/parent-watch.ts'

const [mode = ''] = process.argv.slice(2)
process.stdout.write(`${process.argv.slice(3).join(' ')}\n`)
const exit = /^exit=(\d+)$/.exec(mode)
if (exit !== null) process.exit(Number(exit[1]))
watchParent(process.stdin).signal.addEventListener('abort', () => process.exit(0))
