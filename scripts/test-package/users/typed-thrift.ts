// A TypeScript module that uses `netpoll/thrift` of the installed package, and code that Apache's compiler generates.

import { createThriftClient, createThriftServer, type ThriftCall } from 'netpoll/thrift'
import Echo from './gen-nodejs/Echo.js'

async function main(): Promise<void> {
  const server = createThriftServer(Echo, (call: ThriftCall) => ({
    echo: async ({ message }: { readonly message: string }) => ({ message: `${call.method} ${message}` }),
  }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a port was expected')
  const target = { host: '127.0.0.1', port: address.port }
  for (const transport of ['framed', 'theader', 'ttheader'] as const) {
    const client = createThriftClient(Echo, target, { transport })
    const { message } = await client.withOptions({ timeout: 1000 }).echo({ message: 'hello' })
    if (message !== 'echo hello') throw new Error(message)
    await client.close()
  }
  await server.close()
  console.log('used')
}

void main()
