// What happens to snapshots, tasks, sessions and reads behind a backup's back, row by row.

import { proveLies } from './prove.ts'
import { SNAPSHOT_LIES } from './snapshot-lies.ts'

proveLies(SNAPSHOT_LIES)
