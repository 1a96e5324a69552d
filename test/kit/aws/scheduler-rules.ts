// What EventBridge Scheduler takes as a schedule expression, from its User Guide ("Schedule types"): written apart from our own form.

/** @returns null for one that it takes */
export function expressionFault(expression: string): string | null {
  if (expression.length > 256) return 'too long'
  const rate = /^rate\(([1-9][0-9]*) (minutes?|hours?|days?)\)$/.exec(expression)
  if (rate !== null) return (rate[1] === '1') === !rate[2]?.endsWith('s') ? null : 'the unit does not fit the value'
  const fields = /^cron\((.+)\)$/.exec(expression)?.[1]?.split(' ') ?? []
  if (fields.length !== 6) return 'cron has six fields'
  const [minutes = '', hours = '', days = '', months = '', weekdays = '', years = ''] = fields
  if ((days === '?') === (weekdays === '?')) return 'exactly one of the day fields is "?"'
  const faults = [
    listFault(minutes, [0, 59]),
    listFault(hours, [0, 23]),
    days === '?' || days === 'L' ? null : listFault(days, [1, 31]),
    listFault(months, [1, 12]),
    weekdays === '?' || /^[1-7](L|#[1-5])$/.test(weekdays) ? null : listFault(weekdays, [1, 7]),
    years === '*' ? null : listFault(years, [1970, 2199]),
  ]
  return faults.find((fault) => fault !== null) ?? null
}

function listFault(field: string, [low, high]: readonly [number, number]): string | null {
  if (field === '*') return null
  for (const item of field.split(',')) {
    const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(item) ?? []
    const ends = [Number(from ?? Number.NaN), Number(to ?? from)]
    if (ends.some((end) => !(end >= low && end <= high)) || Number(ends[0]) > Number(ends[1])) return `"${item}"`
  }
  return null
}
