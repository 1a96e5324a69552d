// A program's arguments as Windows hands them over: one command line, that most programs take apart by the rules of
// CommandLineToArgvW. Pure.

import { BackupError } from '../../base/errors.ts'

export type CommandLine = { readonly program: string; readonly arguments: string }

/**
 * Programs ending in .bat or .cmd are run by cmd.exe, whichever way they are started, and it reads their arguments again: inside
 * quotation marks everything but a few characters is plain text to it.
 * @throws BackupError `guest-argument-unfit`
 */
export function commandLineOf(program: string, args: readonly string[]): CommandLine {
  for (const each of [program, ...args]) {
    if (each.includes('\0')) throw unfit(program, each, 'has a NUL character')
  }
  if (!/\.(bat|cmd)[ .]*$/i.test(program)) return { program, arguments: args.map(quoted).join(' ') }
  const odd = [program, ...args].find((each) => /["%!\r\n]/.test(each))
  if (odd !== undefined) throw unfit(program, odd, 'has one of the characters " % ! or a line break')
  // With /s the outermost pair of quotation marks is taken away and the rest is kept as it is ("cmd /?").
  const line = [program, ...args].map((each) => `"${each}"`).join(' ')
  return { program: 'cmd.exe', arguments: `/d /s /c "${line}"` }
}

/** Backslashes count only before a quotation mark, where each is doubled. */
function quoted(text: string): string {
  if (text !== '' && !/[\s"]/.test(text)) return text
  return `"${text.replaceAll(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`
}

function unfit(program: string, value: string, reason: string): BackupError {
  return new BackupError(`Cannot run "${program}" with the argument ${JSON.stringify(value)}: it ${reason}`, {
    code: 'guest-argument-unfit',
    kind: 'usage',
    hint: 'A batch file reads its arguments again: hand such a value over in an environment variable',
    facts: { program },
  })
}
