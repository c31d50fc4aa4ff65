// A stream keeps the process as `net.Socket` does: while it reads, or has something to send or close.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { deferred } from '../../support/deferred.mjs'

const fixture = fileURLToPath(new URL('../../fixtures/kept-process.mjs', import.meta.url))

/** A server for one process: what it does is what its peer asks for. */
async function serve(t: ExecutionContext): Promise<{
  readonly port: number
  readonly received: () => Promise<number>
}> {
  let bytes = 0
  const sockets: Socket[] = []
  /** Until the process, and what it has sent, is through. */
  const ended = deferred()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket.on('error', ended.resolve).on('end', ended.resolve))
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      const asked = chunk.length > 9 ? '' : String(chunk)
      if (asked === 'ask') socket.write('answer')
      else if (asked === 'ask later') setTimeout(() => socket.write('answer'), 300)
      else if (asked === 'end later') setTimeout(() => socket.end('answer'), 300)
      else if (asked === 'flood') socket.write(Buffer.alloc(20_000_000))
      else if (asked === 'end') socket.end()
    })
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, received: () => ended.promise.then(() => bytes) }
}

/** What the process prints, how it ends, and how many bytes it has sent. */
async function run(t: ExecutionContext, kind: string, pollers: number, name: string): Promise<unknown> {
  const { port, received } = await serve(t)
  const child = spawn(process.execPath, [fixture, kind, String(pollers), String(port), name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // Only a process that is kept lives so long.
  const limit = setTimeout(() => child.kill('SIGKILL'), 100_000)
  let printed = ''
  child.stdout.on('data', (text: Buffer) => {
    printed += String(text)
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearTimeout(limit)
  return { printed, code, signal, received: await received() }
}

const names = [
  'paused before it reads',
  'paused, and written to',
  'paused, and ended',
  'paused, and read later',
  'more than it takes',
  'it waits for bytes',
  'read by a loop',
  'read as one text',
  'read when it is readable',
  'half-open',
  'destroyed',
  'without a reference',
]
for (const name of names) {
  test(`a stream keeps the process as a socket does: ${name}`, async (t) => {
    t.timeout(500_000)
    const expected = await run(t, 'net', 0, name)
    for (const pollers of [0, 1, 2]) {
      t.deepEqual(await run(t, 'netpoll', pollers, name), expected, `${pollers} pollers`)
    }
  })
}
