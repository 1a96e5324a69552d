// What vCenter says of changed blocks that is not so, row by row.

import { proveLies } from './prove.ts'
import { TRACKING_LIES } from './tracking-lies.ts'

proveLies(TRACKING_LIES)
