// The type of `connection.data` goes with servers, dialers, hooks and handlers. Compiled, never run.

import { type Connection, createServer, Dialer, lengthField, type Server } from '../../dist/index.mjs'

interface Session {
  readonly user: string
}

const framing = lengthField({ size: 4 })
declare const sessionOf: (connection: Connection<Session>) => string

const server = createServer<Session>({
  framing,
  onConnect: (connection) => {
    connection.data = { user: 'nobody' }
    // @ts-expect-error: no session
    connection.data = { name: 'nobody' }
  },
  onRequest: (_request, connection) => {
    connection.onClose(() => {})
    return connection.data.user
  },
  onError: (_error, connection) => {
    const user: string | undefined = connection?.data.user
    return user
  },
  onDisconnect: (connection) => sessionOf(connection),
})
server satisfies Server<Session>

// What a handler says of its connection, its server has.
createServer(
  { framing },
  (_request, connection: Connection<Session>) => connection.data.user,
) satisfies Server<Session>
createServer({}, (connection: Connection<Session>) => void connection.data.user) satisfies Server<Session>

// Whoever says nothing gets what they have to look at first.
createServer({ framing }, (_request, connection) => {
  connection.data = 5
  // @ts-expect-error: unknown
  return connection.data.user
})
createServer({ framing }, (_request, connection) => sessionOf(connection as Connection<Session>))

async function dialed(): Promise<void> {
  const connection = await new Dialer<Session>({ framing }).dial({ port: 1 })
  connection.data.user satisfies string
  // @ts-expect-error: a session is read, and replaced as a whole
  connection.data.user = 'somebody'
  // @ts-expect-error: no session
  connection.data = 'somebody'
  const reply = await connection.call('request')
  reply satisfies Buffer
  for await (const message of connection) message satisfies Buffer
  // @ts-expect-error: bytes, text, or a list of them
  await connection.send(5)
  connection.onRequest = (_request, same) => same.data.user
  // @ts-expect-error: of another connection
  connection.onRequest = (_request, _other: Connection<number>) => {}
}
void dialed
