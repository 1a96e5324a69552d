import { lineLog, logMetrics } from '../../lib/adapters/local/log.ts'
import { memoryLog, memoryMetrics } from '../../lib/adapters/memory/log.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { logContract, metricsContract, type SeenLine } from '../contract/log.ts'

function openLines(): { readonly log: ReturnType<typeof lineLog>; readonly lines: () => readonly SeenLine[] } {
  const written: string[] = []
  const log = lineLog((line) => written.push(line), { clock: systemClock })
  const parse = (line: string): SeenLine => {
    const { level, event, ...facts }: { level: string; event: string } & Record<string, unknown> = JSON.parse(line)
    return { level, event, facts }
  }
  return { log, lines: () => written.map(parse) }
}

logContract('JSON lines', openLines)
logContract('memory', () => {
  const log = memoryLog()
  return { log, lines: () => log.lines }
})

metricsContract('memory', () => {
  const metrics = memoryMetrics()
  return { metrics, total: (name) => metrics.total(name) }
})
metricsContract('JSON lines', () => {
  const { log, lines } = openLines()
  const total = (name: string) =>
    lines()
      .filter((line) => line.facts['name'] === name)
      .reduce((sum, line) => sum + Number(line.facts['value']), 0)
  return { metrics: logMetrics(log), total }
})
