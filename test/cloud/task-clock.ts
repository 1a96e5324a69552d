// Loaded before a task's own program, in each of its threads: the task reads the cloud's time.

import { installVirtualTime } from './virtual-time.ts'

installVirtualTime().setAheadMs(Number(process.env['COLDFRAME_TEST_AHEAD_MS'] ?? 0))
