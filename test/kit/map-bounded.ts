// Runs an action on many items, a few at once, and gives the results in the order of the items.

export async function mapBounded<Item, Result>(
  items: readonly Item[],
  options: { readonly atOnce: number },
  act: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results = new Map<number, Result>()
  const queue = [...items.entries()]
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, item] = next
      results.set(index, await act(item))
    }
  }
  await Promise.all(Array.from({ length: options.atOnce }, work))
  return [...results.entries()].toSorted(([a], [b]) => a - b).map(([, result]) => result)
}
