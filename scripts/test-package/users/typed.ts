// A TypeScript module that uses the installed package, compiled with the types that come with it.

import { type Connection, createServer, Dialer, lengthField, NetpollError } from 'netpoll'

interface Session {
  readonly user: string
}

function greet(request: Buffer, connection: Connection<Session>): string {
  return `${connection.data.user}: ${request}`
}

async function main(): Promise<void> {
  const framing = lengthField({ size: 4 })
  const server = createServer<Session>({
    framing,
    onConnect: (connection) => {
      connection.data = { user: 'somebody' }
    },
    onRequest: greet,
  })
  await server.listen({ host: '127.0.0.1', port: 0 })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a port was expected')
  const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: address.port })
  const { limit }: { readonly limit?: number } = {}
  const reply: Buffer = await connection.call('hello', { timeout: limit })
  if (reply.toString() !== 'somebody: hello') throw new NetpollError('ERR_INVALID_REPLY', reply.toString())
  await connection.close()
  await server.close()
  console.log('used')
}

void main()
