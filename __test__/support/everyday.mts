import { once } from 'node:events'

import { isOverTls } from './over-tls/record.mjs'
import type { Place } from './places.mjs'
import type { Netpoll } from './realm.mjs'

/** Where the server of {@link everyday} listens, and what both sides are made with. */
export interface EverydayOptions {
  readonly pollers: number
  readonly where: { readonly host: string; readonly port: number } | { readonly path: string }
  /** Whether streams of Node.js work here, which look for `process.nextTick` at each use. Default true. */
  readonly hasStreams?: boolean
}

/** What {@link everyday} notes, in any order. */
export const everydayNotes: readonly string[] = [
  'call: hello',
  'client onClose',
  'client onDisconnect',
  'dialed onData: hello',
  'duplex close',
  'duplex data: hello',
  'duplex end',
  'mux: ERR_REQUEST_TIMEOUT',
  'pool: ERR_POOL_TIMEOUT',
  'server onClose',
  'server onDisconnect',
]

/** What users do with the package, of which nothing may hang. Resolves with what has happened, sorted. */
export async function everyday(
  netpoll: Netpoll,
  { pollers, where, hasStreams = true }: EverydayOptions,
): Promise<readonly string[]> {
  const { createServer, Dialer, lengthField, Mux, Pool } = netpoll
  const notes: string[] = []
  const noted = new Map<string, () => void>()
  const note = (what: string): void => {
    notes.push(what)
    noted.get(what)?.()
  }
  const reached = (what: string): Promise<void> =>
    notes.includes(what) ? Promise.resolve() : new Promise((resolve) => noted.set(what, resolve))

  const framing = lengthField({ size: 4 })
  const framed = createServer(
    {
      framing,
      pollers,
      onConnect: (connection) => void connection.onClose(() => note('server onClose')),
      onDisconnect: () => note('server onDisconnect'),
    },
    async (request) => request.subarray(1),
  )
  await framed.listen(where)
  const dialer = new Dialer({ framing, pollers, onDisconnect: () => note('client onDisconnect') })
  const connection = await dialer.dial(targetOf(framed.address()))
  connection.onClose(() => note('client onClose'))
  note(`call: ${(await connection.call(Buffer.from('?hello'))).toString()}`)
  await connection.close()
  await reached('client onClose')
  await reached('server onClose')
  await framed.close()

  // What has a time limit, where the limit is JavaScript's to keep.
  const silent = createServer({ framing, pollers }, () => new Promise<string>(() => {}))
  await silent.listen(where)
  const codeOf = (error: unknown): unknown => (error as { readonly code?: unknown }).code
  const mux = new Mux(targetOf(silent.address()), { framing, pollers, connections: 1 })
  await mux.call('never answered', { timeout: 20 }).catch((error) => note(`mux: ${codeOf(error)}`))
  await mux.close({ timeout: 20 })
  const pool = new Pool(targetOf(silent.address()), { framing, pollers, connections: 1 })
  const lent = await pool.get()
  await pool.get({ timeout: 20 }).catch((error) => note(`pool: ${codeOf(error)}`))
  void lent.call('never answered').catch(() => {})
  await pool.close({ timeout: 20 })
  await silent.close({ timeout: 20 })

  const onError = (error: unknown): void => {
    // With TLS, one that is destroyed goes without an end.
    if (!isOverTls || codeOf(error) !== 'ERR_TLS_TRUNCATED') note(`streams onError: ${codeOf(error)}`)
  }
  const streams = createServer({ pollers, onError }, async (peer) => {
    const { reader } = peer
    await peer.send(reader.readBinary(reader.length))
  })
  await streams.listen(where)
  const target = targetOf(streams.address())
  const streamDialer = new Dialer({
    pollers,
    onData: ({ reader }) => note(`dialed onData: ${reader.readString(reader.length)}`),
  })
  const stream = await streamDialer.dial(target)
  await stream.send('hello')
  await reached('dialed onData: hello')
  stream.destroy()

  if (hasStreams) {
    const duplex = (await new Dialer({ pollers }).dial(target)).toDuplex()
    duplex.on('end', () => note('duplex end'))
    duplex.write('hello')
    const [data] = (await once(duplex, 'data')) as [Buffer]
    note(`duplex data: ${data.toString()}`)
    duplex.end()
    await once(duplex, 'close')
    note('duplex close')
  }
  await streams.close()
  return notes.sort()
}

function targetOf(
  address: unknown,
): { readonly host: string; readonly port: number } | { readonly path: string } {
  return typeof address === 'string'
    ? { path: address }
    : { host: '127.0.0.1', port: (address as { readonly port: number }).port }
}

/** The places at which it is tried. */
export const everydayPlaces: readonly Pick<Place, 'pollers' | 'transport'>[] = [0, 1, 2].flatMap((pollers) =>
  (['tcp', 'unix'] as const).map((transport) => ({ pollers, transport })),
)
