// Where another program of the same folder lies: beside the one that runs, source beside source, bundle beside bundle.

/**
 * @param entry import.meta.url of the program that runs
 * @param name the other program, without its ending
 */
export function siblingEntry(entry: string, name: string): URL {
  const ending = entry.endsWith('.ts') ? '.ts' : '.mjs'
  return new URL(`./${name}${ending}`, entry)
}
