import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  Dialer,
  type IdFunction,
  Mux,
  Pool,
  type Server,
} from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { numbered } from '../support/frames.mjs'
import { codeOf, framing, gone, targetOf } from '../support/netpoll.mjs'
import { isOverTls } from '../support/over-tls/record.mjs'
import { type Place, places, words } from '../support/places.mjs'
import { socketPath } from '../support/system.mjs'

/** A list whose last piece is `text`, and runs `work` when it is asked for. */
function list(id: number, text: string, work: () => unknown): Buffer[] {
  return Object.defineProperty([numbered(id, '')], 1, {
    get: () => {
      work()
      return Buffer.from(text)
    },
  }) as Buffer[]
}

const field = { offset: 0, size: 4 } as const

/** What the user's code does in the middle of a call. */
const endings = ['detach', 'destroy', 'resetAndDestroy', 'close', 'end'] as const
type Ending = (typeof endings)[number]

/** A connection with TLS cannot be given away. */
const isPossible = (ending: Ending): boolean => ending !== 'detach' || !isOverTls

async function listening(t: ExecutionContext, { transport }: Place, server: Server): Promise<void> {
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(transport === 'tcp' ? { host: '127.0.0.1', port: 0 } : { path: socketPath(t) })
}

/** A connection of ours, whose calls are answered with what they sent. */
async function connected(t: ExecutionContext, place: Place, id: object): Promise<Connection> {
  const { side, pollers } = place
  const accepted = new Inbox<Connection>()
  const mine = { framing, ...id, pollers }
  const echo = (request: Buffer, other: Connection): Buffer => {
    if (request.toString('utf8', 4) === 'push') void other.send(numbered(9, 'unasked'))
    return request
  }
  const server = createServer(
    { ...(side === 'server' ? mine : { framing }), onConnect: accepted.push, onError: () => {} },
    echo,
  )
  await listening(t, place, server)
  const dialed = await new Dialer({
    ...(side === 'dialed' ? mine : { framing }),
    onRequest: echo,
    onError: () => {},
  }).dial(targetOf(server))
  t.teardown(() => gone(dialed))
  const other = await accepted.take()
  return side === 'server' ? other : dialed
}

function end(t: ExecutionContext, connection: Connection, ending: Ending): void {
  if (ending !== 'detach') void connection[ending]()
  else {
    const fd = connection.detach()
    t.teardown(() => new Dialer({ framing }).fromFd(fd).then(gone, () => {}))
  }
}

for (const place of places) {
  for (const kind of ['field', 'function', 'none'] as const) {
    // A server cannot call in order.
    if (kind === 'none' && place.side === 'server') continue
    let asked: () => unknown = () => {}
    const compute: IdFunction = (bytes) => {
      const work = asked
      asked = () => {}
      work()
      return bytes.readUInt32BE(0)
    }
    const id = kind === 'field' ? { id: field } : kind === 'function' ? { id: compute } : {}
    const title = `${words(place)}, ids: ${kind}`

    for (const ending of endings) {
      test.serial(
        `a call or send whose list ends its connection by ${ending} is refused: ${title}`,
        async (t) => {
          for (const method of ['call', 'send'] as const) {
            const connection = await connected(t, place, id)
            // Whose reply is on its way cannot be detached.
            const isQuiet = ending === 'end' || ending === 'detach'
            const before = isQuiet ? undefined : connection.call(numbered(1, 'before')).catch(codeOf)
            const outcome = connection[method](list(2, 'a', () => end(t, connection, ending)))
            t.is(await Promise.resolve(outcome).then(() => 'over', codeOf), 'ERR_CONN_CLOSED')
            if (ending !== 'close') t.is(await (before ?? 'ERR_CONN_CLOSED'), 'ERR_CONN_CLOSED')
          }
        },
      )
    }

    test.serial(
      `a call whose list calls with the same id gets no reply of the other: ${title}`,
      async (t) => {
        const connection = await connected(t, place, id)
        let inner: Promise<Buffer> | undefined
        const outer = connection
          .call(
            list(7, 'outer', () => {
              inner ??= connection.call(numbered(7, 'inner'))
            }),
          )
          .then((reply) => reply.toString('utf8', 4), codeOf)
        t.is((await (inner as Promise<Buffer> | undefined))?.toString('utf8', 4), 'inner')
        t.is(await outer, kind === 'none' ? 'outer' : 'ERR_DUPLICATE_ID')
        t.is((await connection.call(numbered(7, 'after'))).toString('utf8', 4), 'after')
      },
    )

    test.serial(`a call whose list aborts it is not sent: ${title}`, async (t) => {
      const connection = await connected(t, place, id)
      const controller = new AbortController()
      const { bytesWritten } = connection
      const call = connection.call(
        list(7, 'a', () => controller.abort('enough')),
        { signal: controller.signal },
      )
      t.is(await call.catch((reason) => reason), 'enough')
      t.is(connection.bytesWritten, bytesWritten)
      // Its id is free, and no reply is missing.
      t.is((await connection.call(numbered(7, 'after'))).toString('utf8', 4), 'after')
    })

    if (kind !== 'function') continue
    test.serial(`the function of ids may end, abort and call: ${title}`, async (t) => {
      for (const ending of endings.filter(isPossible)) {
        const connection = await connected(t, place, id)
        asked = () => end(t, connection, ending)
        t.is(await connection.call(numbered(1, 'a')).then(String, codeOf), 'ERR_CONN_CLOSED')
      }
      const connection = await connected(t, place, id)
      let inner: Promise<Buffer> | undefined
      asked = () => {
        inner = connection.call(numbered(7, 'inner'))
      }
      t.is(await connection.call(numbered(7, 'outer')).then(String, codeOf), 'ERR_DUPLICATE_ID')
      t.is((await (inner as Promise<Buffer> | undefined))?.toString('utf8', 4), 'inner')
      const controller = new AbortController()
      asked = () => controller.abort('enough')
      const aborted = connection.call(numbered(7, 'aborted'), { signal: controller.signal })
      t.is(await aborted.catch((reason) => reason), 'enough')
      t.is((await connection.call(numbered(7, 'after'))).toString('utf8', 4), 'after')
    })

    test.serial(`the function of ids may end the connection when a message comes: ${title}`, async (t) => {
      for (const ending of (['detach', 'destroy', 'close'] as const).filter(isPossible)) {
        const connection = await connected(t, place, id)
        let handled = 0
        connection.onRequest = () => {
          handled += 1
        }
        const pending = connection.call(numbered(1, 'push')).then(String, codeOf)
        asked = () => end(t, connection, ending)
        t.is(await pending, 'ERR_CONN_CLOSED', ending)
        t.is(handled, 0, ending)
      }
    })
  }
}

const dialedPlaces = places.filter(({ side }) => side === 'dialed')

for (const place of dialedPlaces) {
  test.serial(`pools and muxes count a call once, whatever ends it within: ${words(place)}`, async (t) => {
    const server = createServer({ framing }, (request) => request)
    await listening(t, place, server)
    let connection: Connection | undefined
    let asked: () => unknown = () => {}
    const options = {
      framing,
      pollers: place.pollers,
      connections: 1,
      id: (bytes: Buffer) => {
        const work = asked
        asked = () => {}
        work()
        return bytes.readUInt32BE(0)
      },
      onConnect: (one: Connection) => {
        connection = one
      },
      onError: () => {},
    }
    for (const line of [new Pool(targetOf(server), options), new Mux(targetOf(server), options)]) {
      t.teardown(() => line.close({ timeout: 0 }))
      for (const ending of endings.filter(isPossible)) {
        t.is(String(await line.call(numbered(1, 'first'))), String(numbered(1, 'first')))
        const current = connection as Connection
        asked = () => end(t, current, ending)
        t.is(await line.call(numbered(2, 'a')).then(String, codeOf), 'ERR_CONN_CLOSED', ending)
        t.is(line.stats().running, 0, ending)
        if (ending !== 'detach') await gone(current)
      }
      await line.call(numbered(1, 'first'))
      for (let round = 0; round < 3; round += 1) {
        const controller = new AbortController()
        asked = () => controller.abort('enough')
        const aborted = line.call(numbered(3, 'a'), { signal: controller.signal })
        t.is(await aborted.catch((reason) => reason), 'enough')
        t.is(line.stats().running, 0)
        t.is(String(await line.call(numbered(3, 'b'))), String(numbered(3, 'b')))
      }
      await line.close()
      t.is(line.stats().running, 0)
    }
  })

  test.serial(`what closes a pool or mux within a call or get is refused: ${words(place)}`, async (t) => {
    const server = createServer({ framing }, (request) => request)
    await listening(t, place, server)
    const options = { framing, pollers: place.pollers, onError: () => {} }
    const closing = (line: { close(): Promise<void> }) => ({
      get timeout(): number {
        void line.close()
        return 0
      },
    })
    /** Its listener is told of within `addEventListener`. */
    const signal = (work: () => void): AbortSignal => {
      const { signal } = new AbortController()
      return Object.defineProperty(signal, 'addEventListener', { value: work })
    }
    const target = targetOf(server)
    const [pool, lending, listened, mux, sending, heard] = [
      new Pool(target, options),
      new Pool(target, options),
      new Pool(target, options),
      new Mux(target, options),
      new Mux(target, options),
      new Mux(target, options),
    ] as const
    const outcomes = [
      pool.call('a', closing(pool)),
      lending.get(closing(lending)),
      listened.get({ signal: signal(() => void listened.close()) }),
      mux.call('a', closing(mux)),
      sending.send(list(1, 'a', () => void sending.close())),
      heard.call('a', { signal: signal(() => void heard.close()) }),
    ]
    const codes = await Promise.all(outcomes.map((outcome) => outcome.then(String, codeOf)))
    const [byPool, byMux] = ['ERR_POOL_CLOSED', 'ERR_MUX_CLOSED']
    t.deepEqual(codes, [byPool, byPool, byPool, byMux, byMux, byMux])
    for (const line of [pool, lending, listened, mux, sending, heard]) {
      await line.close()
      t.is(line.stats().size, 0)
    }
  })
}
