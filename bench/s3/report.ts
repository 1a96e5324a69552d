// What the comparison of S3 clients says: medians over the rounds.

export type Sample = {
  readonly bytes: number
  readonly count: number
  readonly seconds: number
  readonly cpuSeconds: number
}

export type Line = { readonly name: string; readonly ours: readonly Sample[]; readonly sdk: readonly Sample[] }

const MB = 1e6

export function table(lines: readonly Line[]): string {
  const rows = lines.flatMap(({ name, ours, sdk }) => {
    const [own, other] = [summaryOf(ours), summaryOf(sdk)]
    return [
      `${name.padEnd(24)} ours  ${words(own)}`,
      `${''.padEnd(24)} SDK   ${words(other)}`,
      `${''.padEnd(24)} ratio ${(own.perCpu / other.perCpu).toFixed(2)} × MB per CPU-s (goal 1.5)`,
    ]
  })
  return `${rows.join('\n')}\n`
}

type Summary = { readonly perSecond: number; readonly perCpu: number; readonly cpuMsEach: number }

function summaryOf(samples: readonly Sample[]): Summary {
  return {
    perSecond: median(samples.map(({ bytes, seconds }) => bytes / MB / seconds)),
    perCpu: median(samples.map(({ bytes, cpuSeconds }) => bytes / MB / cpuSeconds)),
    cpuMsEach: median(samples.map(({ count, cpuSeconds }) => (cpuSeconds * 1000) / count)),
  }
}

function words({ perSecond, perCpu, cpuMsEach }: Summary): string {
  const number = (value: number, digits = 0) => value.toFixed(digits).padStart(6)
  return `${number(perSecond)} MB/s  ${number(perCpu)} MB per CPU-s  ${number(cpuMsEach, 2)} ms CPU each`
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
