// A TypeScript module that uses `netpoll/rpc` of the installed package: a protocol of text.

import { lengthField, type Writer } from 'netpoll'
import { type Codec, type Message, noMetadata, TransportClient, TransportServer } from 'netpoll/rpc'

const codec: Codec<string> = {
  framing: lengthField({ size: 4 }),

  encode(message: Message<string>, writer: Writer): void {
    if (message.kind === 'error') throw message.error
    writer.writeString(message.body)
  },

  decode(bytes: Buffer): Message<string> {
    const isCall = bytes.toString().endsWith('?')
    const common = { id: 0, method: 'ask', metadata: noMetadata, body: bytes.toString() }
    return isCall ? { ...common, kind: 'call', timeout: 0 } : { ...common, kind: 'reply' }
  },
}

async function main(): Promise<void> {
  const server = new TransportServer(codec, { onRequest: async (call) => call.body.replace('?', '!') })
  await server.listen({ host: '127.0.0.1', port: 0 })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a port was expected')
  const client = new TransportClient({ host: '127.0.0.1', port: address.port }, codec)
  const answer: string = await client.call('ask', 'there?', { timeout: 1000 })
  if (answer !== 'there!') throw new Error(answer)
  await client.close()
  await server.close()
  console.log('used')
}

void main()
