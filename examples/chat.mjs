// A chat over a unix socket: `node examples/chat.mjs /tmp/chat.sock` in several terminals. The first of them serves.

import { createInterface } from 'node:readline'
import { createServer, Dialer, delimiter } from 'netpoll'

const path = process.argv[2] ?? '/tmp/netpoll-chat.sock'
const name = process.argv[3] ?? `user ${process.pid}`
const framing = delimiter('\n', { maxLength: 1024 })

async function serve() {
  const guests = new Set()
  const server = createServer({
    framing,
    onConnect: (guest) => void guests.add(guest),
    onRequest(line) {
      for (const guest of guests) void guest.send(line)
    },
    onDisconnect: (guest) => guests.delete(guest),
  })
  await server.listen({ path })
  console.log(`serving ${path}`)
  process.once('SIGTERM', () => server.close({ timeout: 1000 }))
}

async function join() {
  const connection = await new Dialer({ framing }).dial({ path })
  connection.onRequest = (line) => console.log(String(line))
  connection.onClose(() => process.exit())
  await connection.send(`${name} has come`)
  for await (const line of createInterface({ input: process.stdin }))
    await connection.send(`${name}: ${line}`)
  await connection.close()
}

await join().catch((error) => {
  if (error.code !== 'ENOENT' && error.code !== 'ECONNREFUSED') throw error
  return serve()
})
