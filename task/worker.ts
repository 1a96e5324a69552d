// A thread of the mover: reads and stores the regions it is given.

import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../lib/base/clock.ts'
import { systemRandom } from '../lib/base/random.ts'
import { serveMoverThread } from '../lib/compose/mover-threads.ts'

await serveMoverThread(parentPort, workerData, { environment: process.env, clock: systemClock, random: systemRandom })
