// Takes the engine lock of a folder, says "held" or "refused", and keeps it until killed. Usage: hold-lock.ts FILE

import { takeEngineLock } from '../../../../lib/adapters/local/engine-lock.ts'

const lock = takeEngineLock(process.argv[2] ?? '')
process.stdout.write(lock === null ? 'refused\n' : 'held\n')
if (lock !== null) setInterval(() => undefined, 1000)
