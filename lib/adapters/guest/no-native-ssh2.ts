// Keeps ssh2's optional native part out of the process. Built with the headers of Node 24.19 and later it aborts the whole process when
// one of its ciphers is collected as garbage (node::ObjectWrap removes a cleanup hook where no context is entered; nodejs/node#65446,
// mscdex/ssh2#1511): in the middle of a freeze, perhaps. Without it ssh2 uses node:crypto, which carries 64 MiB in a second.
// Must be imported before ssh2.

const dlopen = process.dlopen

process.dlopen = (module: object, path: string, ...flags: number[]): void => {
  // ssh2 catches this, as it does where the part was never built.
  if (/[\\/]sshcrypto\.node$/.test(path)) throw new Error('The native part of ssh2 is not used')
  Reflect.apply(dlopen, process, [module, path, ...flags])
}
