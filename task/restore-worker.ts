// A thread of a restore: reads and verifies the ranges it is given.

import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../lib/base/clock.ts'
import { systemRandom } from '../lib/base/random.ts'
import { serveRestoreThread } from '../lib/compose/restore-threads.ts'

await serveRestoreThread(parentPort, workerData, { environment: process.env, clock: systemClock, random: systemRandom })
