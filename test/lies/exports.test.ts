// What goes wrong with exports of disks, row by row.

import { EXPORT_LIES } from './export-lies.ts'
import { proveLies } from './prove.ts'

proveLies([EXPORT_LIES])
