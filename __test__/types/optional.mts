// What may be missing may be undefined, with `exactOptionalPropertyTypes`, and hooks of transports stay methods. Compiled,
// never run.

import { type Connection, createServer, Dialer, lengthField, Pool } from '../../dist/index.mjs'
import { type Codec, TransportClient, type TransportHandler, TransportServer } from '../../dist/rpc/index.mjs'

declare const maybe: number | undefined
declare const signal: AbortSignal | undefined
declare const codec: Codec<string>
const framing = lengthField({ size: 4, offset: maybe })
const address = { host: undefined, port: 1 }

createServer({ framing, maxInFlight: maybe, onError: undefined })
void createServer({}).close({ timeout: maybe })
void new Dialer({ framing, connectTimeout: maybe }).dial({ ...address, signal })
void new Pool(address, { framing, minIdle: maybe }).call('request', { timeout: maybe, signal })
void new TransportClient(address, codec).call('method', 'body', { timeout: maybe, metadata: undefined })
new TransportServer(codec, { onRequest: (call) => call.body, onConnect: undefined }, { ordered: undefined })
// @ts-expect-error: so this test can fail
createServer({ framing, maxInFlight: null })

interface Session {
  readonly user: string
}
const handler: TransportHandler<string> = {
  onRequest: (call) => call.body,
  onConnect(connection: Connection<Session>) {
    void connection.data.user
  },
}
const ended: Codec<string> = { ...codec, isGoAway: (message) => message.kind === 'error' }
new TransportServer(ended, handler)
