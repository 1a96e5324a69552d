// Throws away what is put and answers every range with the same bytes; ends with its standard input. usage: sink.ts KEY CERTIFICATE

import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const [key = '', certificate = ''] = process.argv.slice(2)
const bytes = Buffer.alloc(1024 * 1024, 7)
const modified = new Date().toUTCString()

const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (request, response) => {
  if (request.method === 'PUT') {
    request.on('end', () => response.writeHead(200, { etag: '"0"', 'content-length': '0' }).end())
    request.resume()
    return
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
  const [from, to] = [Number(range?.[1] ?? 0), Number(range?.[2] ?? 0)]
  const headers = {
    etag: '"0"',
    'last-modified': modified,
    'content-length': String(to - from + 1),
    'content-range': `bytes ${from}-${to}/${2 ** 30}`,
  }
  response.writeHead(206, headers).end(bytes.subarray(0, to - from + 1))
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  process.stdout.write(`${typeof address === 'object' ? address?.port : ''}\n`)
})
process.stdin.on('end', () => process.exit()).resume()
