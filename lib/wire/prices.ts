// A price table that an operator gives: JSON with the prices that differ, and the day and region they are of.

import * as z from 'zod'
import { BackupError, quote } from '../base/errors.ts'
import { DEFAULT_PRICES, type PriceTable } from '../model/prices.ts'
import { parseJson } from './scalars.ts'

const price = z.exactOptional(z.number().min(0))

const priceText = z.strictObject({
  date: z.iso.date(),
  region: z.string().min(1),
  storePutsPer1000: price,
  storeGetsPer1000: price,
  storeGibMonth: price,
  functionCallsPerMillion: price,
  functionGbSecond: price,
  taskVcpuHour: price,
  taskGbHour: price,
  queueRequestsPerMillion: price,
  tableReadUnitsPerMillion: price,
  tableWriteUnitsPerMillion: price,
  keyRequestsPer10000: price,
  eventRequestsPerMillion: price,
})

/**
 * What is left out has its default, see DEFAULT_PRICES.
 * @throws BackupError `prices-faulty` (kind usage)
 */
export function parsePrices(text: string, source: string): PriceTable {
  const given = parseJson(text, {
    schema: priceText,
    refuse: (reason) =>
      new BackupError(`Cannot read the prices in ${quote(source)}: ${reason}`, {
        code: 'prices-faulty',
        kind: 'usage',
        hint: 'A price table is JSON with "date", "region" and the prices that differ, for example {"date": "2026-11-27", "region": "eu-central-1", "storeGibMonth": 0.0245}',
        facts: { source },
      }),
  })
  return { ...DEFAULT_PRICES, ...given }
}
