import { spawn } from 'node:child_process'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { socketPath } from '../support/system.mjs'

const fixture = fileURLToPath(new URL('../fixtures/last-words.mjs', import.meta.url))

function run(t: ExecutionContext, args: readonly string[]) {
  const child = spawn(process.execPath, [fixture, ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => child.kill('SIGKILL'))
  const line = new Promise<string>((resolve) =>
    child.stdout.once('data', (data) => resolve(`${data}`.trim())),
  )
  return { line, closed: new Promise<void>((resolve) => child.once('close', () => resolve())) }
}

/** How many bytes come before the end. */
function received(socket: Socket): Promise<number> {
  let count = 0
  socket.on('data', (data) => {
    count += data.length
  })
  socket.on('error', () => {})
  return new Promise((resolve) => socket.once('close', () => resolve(count)))
}

const inThread = ['write-callback', 'write-exit', 'write-throw', 'send-exit', 'flush-exit']

for (const how of inThread) {
  for (const pollers of ['0', '1', '2']) {
    for (const place of ['port', 'path'] as const) {
      for (const thread of how === 'send-exit' ? ['main', 'worker'] : ['main']) {
        const where = `${how}, ${place}, pollers: ${pollers}, ${thread} thread`
        const expected = how === 'send-exit' ? 60_004 : 60_000

        test(`what was accepted is sent when the process ends at once, server: ${where}`, async (t) => {
          const path = place === 'port' ? '0' : socketPath(t)
          const { line, closed } = run(t, [how, 'server', pollers, path, thread])
          const told = await line
          const socket = connect(
            place === 'port' ? { port: Number(told), host: '127.0.0.1' } : { path: told },
          )
          t.is(await received(socket), expected)
          await closed
        })

        test(`what was accepted is sent when the process ends at once, dialed: ${where}`, async (t) => {
          let got: Promise<number> | undefined
          const server = createServer((socket) => {
            got = received(socket)
          })
          t.teardown(() => server.close())
          const path = socketPath(t)
          await new Promise<void>((resolve) =>
            place === 'port' ? server.listen(0, '127.0.0.1', resolve) : server.listen(path, resolve),
          )
          const address = server.address()
          const target = typeof address === 'string' ? address : `${(address as AddressInfo).port}`
          const accepted = new Promise((resolve) => server.once('connection', resolve))
          const { closed } = run(t, [how, 'dialed', pollers, target, thread])
          await accepted
          t.is(await got, expected)
          await closed
        })
      }
    }
  }
}

test('no listener of exit stays without a connection', async (t) => {
  const { createServer: create, Dialer, lengthField } = await import('../../dist/index.mjs')
  const framing = lengthField({ size: 4 })
  const before = process.listenerCount('exit')
  const server = create({ framing }, (request) => request)
  await server.listen({ host: '127.0.0.1', port: 0 })
  t.is(process.listenerCount('exit'), before)
  const { port } = server.address() as AddressInfo
  const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port })
  t.is(process.listenerCount('exit'), before + 1)
  await connection.close()
  await server.close()
  t.is(process.listenerCount('exit'), before)
})
