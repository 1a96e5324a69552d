// Ends a child process with its parent: the parent holds the writing end of the child's standard input, and the kernel
// closes it however the parent ends.

import type { Readable } from 'node:stream'

/**
 * For a program that childTasks() starts.
 * @param input the program's standard input
 * @returns a signal that is aborted when the parent is gone; disposing stops watching
 */
export function watchParent(input: Readable): Disposable & { readonly signal: AbortSignal } {
  const gone = new AbortController()
  const onEnd = (): void => gone.abort(new Error('The program that started this one has ended'))
  input.on('end', onEnd)
  input.on('error', onEnd)
  input.on('close', onEnd)
  input.resume()
  return {
    signal: gone.signal,
    [Symbol.dispose]: () => {
      input.off('end', onEnd)
      input.off('error', onEnd)
      input.off('close', onEnd)
      input.destroy()
    },
  }
}
