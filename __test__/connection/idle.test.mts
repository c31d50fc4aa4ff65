// `idleTimeout` counts from when the user's code was busy with a connection last, or has used it.
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { type Deferred, deferred, Inbox, nextTurn, until } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, connectPeer, framing, gone, rejection, targetOf } from '../support/netpoll.mjs'
import type { Peer } from '../support/peer.mjs'
import { type PlacedOptions, rawServer } from '../support/placed.mjs'
import { type Place, places, words } from '../support/places.mjs'
import { arrived } from '../support/streams.mjs'

/** Milliseconds of silence. */
const limit = 60
/** Milliseconds, shorter than a stall of ours. */
const brief = 25
/** Milliseconds by which two clocks may differ. */
const tolerance = 2
/** Milliseconds that no test takes. */
const never = 1_000_000
/** How often a test is tried, of which a stall of the machine has hidden the outcome. */
const attempts = 20

interface Pair {
  readonly connection: Connection
  readonly peer: Peer
}

/** A peer ends when it is told the end, so that nothing lingers. */
function pairOf(connection: Connection, peer: Peer): Pair {
  peer.socket.once('end', () => peer.socket.end())
  return { connection, peer }
}

/** Makes connections at `place`, one after the other. */
async function opener(t: ExecutionContext, place: Place, options: object): Promise<() => Promise<Pair>> {
  const made = new Inbox<Connection>()
  const common: PlacedOptions = {
    onError: () => {},
    ...options,
    pollers: place.pollers,
    onPrepare: made.push,
  }
  if (place.side === 'dialed') {
    const { target, peers } = await rawServer(t, place.transport)
    const dialer = new Dialer(common as ConstructorParameters<typeof Dialer>[0])
    return async () => {
      void dialer.dial(target)
      const connection = await made.take()
      t.teardown(() => gone(connection))
      return pairOf(connection, await peers.take())
    }
  }
  const server = createServer(common as Parameters<typeof createServer>[0])
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, place.transport))
  return async () => {
    const peer = await connectPeer(t, targetOf(server))
    return pairOf(await made.take(), peer)
  }
}

/** How long the user's code is busy, and what tells of it. */
interface Busyness {
  readonly begun: () => void
  readonly end: Promise<void>
}

interface Kind {
  readonly sides: readonly Place['side'][]
  readonly options: (busyness: Busyness) => object
  readonly begin: (pair: Pair, busyness: Busyness) => unknown
}

const both = ['server', 'dialed'] as const
const work = async ({ begun, end }: Busyness): Promise<void> => {
  begun()
  await end
}
async function loop({ connection }: Pair, busyness: Busyness): Promise<void> {
  for await (const _message of connection) await work(busyness)
}

const kinds: Readonly<Record<string, Kind>> = {
  onConnect: {
    sides: both,
    options: (busyness) => {
      let count = 0
      return { onConnect: () => (count++ === 0 ? work(busyness) : undefined) }
    },
    begin: () => {},
  },
  onData: {
    sides: both,
    options: (busyness) => ({
      onData: ({ reader }: Connection) => {
        reader.skip(reader.length)
        return work(busyness)
      },
    }),
    begin: ({ peer }) => peer.write('x'),
  },
  'the body of a loop over a stream': {
    sides: both,
    options: () => ({}),
    begin: (pair, busyness) => {
      void loop(pair, busyness)
      void pair.peer.write('x')
    },
  },
  'a reader with unread bytes': {
    sides: both,
    options: () => ({}),
    begin: async ({ connection, peer }, { begun, end }) => {
      await peer.write('x')
      await arrived(connection, 1)
      begun()
      await end
      connection.reader.skip(1)
    },
  },
  'a call that is given up': {
    sides: ['dialed'],
    options: () => ({ framing }),
    begin: async ({ connection }, { begun, end }) => {
      const controller = new AbortController()
      const calling = rejection(connection.call('x', { signal: controller.signal }))
      await until(() => connection.bytesWritten > 0)
      begun()
      await end
      controller.abort()
      await calling
    },
  },
  'a handler that was set later': {
    sides: ['dialed'],
    options: () => ({ framing }),
    begin: ({ connection, peer }, busyness) => {
      connection.onRequest = () => work(busyness)
      void peer.write(frame('x'))
    },
  },
  'the body of a loop over messages': {
    sides: ['dialed'],
    options: () => ({ framing }),
    begin: (pair, busyness) => {
      void loop(pair, busyness)
      void pair.peer.write(frame('x'))
    },
  },
}

/** Blocks the whole process, as a long computation would. */
function stall(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

/** A connection that the user's code is busy with, and one that is silent. */
interface Trial {
  readonly place: Place
  readonly connections: readonly Connection[]
  readonly ends: readonly Promise<number>[]
  readonly finish: () => void
}

async function begin(t: ExecutionContext, kind: Kind, place: Place): Promise<Trial> {
  const [begun, end] = [deferred(), deferred()]
  const busyness = { begun: begun.resolve, end: end.promise }
  const open = await opener(t, place, { idleTimeout: never, ...kind.options(busyness) })
  const used = await open()
  void kind.begin(used, busyness)
  await begun.promise
  const silent = await open()
  await until(() => silent.connection.isActive)
  const connections = [used.connection, silent.connection]
  const ends = connections.map(
    (connection) => new Promise<number>((resolve) => connection.onClose(() => resolve(performance.now()))),
  )
  return { place, connections, ends, finish: end.resolve }
}

/**
 * Lets silence on the wire last for the limit while the user's code is busy, which ends right before the loop sees that.
 * Returns the places where nothing is shown by it: the loop came to it too late.
 */
async function attempt(t: ExecutionContext, kind: Kind, tried: readonly Place[]): Promise<Place[]> {
  const trials = await Promise.all(tried.map((place) => begin(t, kind, place)))
  for (const { connections } of trials) for (const connection of connections) connection.setIdleTimeout(limit)
  // The core counts from here.
  for (let turn = 0; turn < 3; turn += 1) await nextTurn()
  stall(limit + brief)
  const due = performance.now() + limit
  for (const { finish } of trials) finish()
  const hidden: Place[] = []
  for (const { place, ends } of trials) {
    const [used, silent] = (await Promise.all(ends)) as [number, number]
    t.true(used >= due - tolerance, `${words(place)}: ${due - used} ms too early`)
    if (silent < due - limit || silent >= due) hidden.push(place)
  }
  return hidden
}

for (const [name, kind] of Object.entries(kinds)) {
  test.serial(`${name} is no silence`, async (t) => {
    let left = places.filter(({ side }) => kind.sides.includes(side))
    // A machine that takes the processor away for long closes both at once.
    for (let count = 0; count < attempts && left.length > 0; count += 1) left = await attempt(t, kind, left)
    t.deepEqual(left.map(words), [], 'nothing was shown')
  })
}

for (const place of places.filter(({ side }) => side === 'server')) {
  test.serial(`what is sent before the silence is told takes it back: ${words(place)}`, async (t) => {
    const ends = new Inbox<unknown>()
    const open = await opener(t, place, {
      onDisconnect: (_connection: Connection, error: Error | undefined) => ends.push(codeOf(error)),
    })
    const { connection, peer } = await open()
    for (let round = 0; round < 3; round += 1) {
      connection.setIdleTimeout(brief)
      // The core counts from here. Pollers of their own find the silence while this thread stalls.
      await nextTurn()
      stall(2 * brief)
      // Of that only the core knows.
      connection.writer.writeString('beat')
      await connection.writer.flush()
      connection.setIdleTimeout(0)
      t.is(String(await peer.read(4)), 'beat')
      await arrived(connection, 0)
      t.deepEqual(ends.all, [])
    }
    connection.setIdleTimeout(brief)
    t.is(await ends.take(), 'ERR_IDLE_TIMEOUT')
  })
}

interface Ended {
  readonly code: unknown
  readonly at: number
}

interface Use {
  readonly use: (pair: Pair) => unknown
  /** Resolves where the connection stays. */
  readonly stays?: (pair: Pair) => Promise<unknown>
}

const beat = ({ connection }: Pair) => connection.writer.writeString('beat') && connection.writer.flush()
const uses: Readonly<Record<string, Use>> = {
  'setIdleTimeout(0)': {
    use: ({ connection }) => connection.setIdleTimeout(0),
    stays: (pair) => {
      void beat(pair)
      return pair.peer.read(4)
    },
  },
  flush: { use: beat, stays: ({ peer }) => peer.read(4) },
  end: { use: ({ connection }) => connection.end() },
  close: { use: ({ connection }) => connection.close() },
  destroy: { use: ({ connection }) => connection.destroy() },
}

for (const place of places) {
  test.serial(
    `what the code does before it is told of silence takes that back: ${words(place)}`,
    async (t) => {
      const ends = new Map<Connection, Deferred<Ended>>()
      const open = await opener(t, place, {
        onDisconnect: (connection: Connection, error: Error | undefined) =>
          ends.get(connection)?.resolve({ code: codeOf(error), at: performance.now() }),
      })
      const pairs: Pair[] = []
      while (pairs.length <= Object.keys(uses).length) {
        const pair = await open()
        ends.set(pair.connection, deferred())
        pairs.push(pair)
      }
      await until(() => pairs.every(({ connection }) => connection.isActive))
      const used = deferred<{ readonly others: readonly Pair[]; readonly at: number }>()
      let isUsed = false
      for (const first of pairs) {
        // The batch that tells of the first tells of the others, too.
        first.connection.signal.addEventListener('abort', () => {
          if (isUsed) return
          isUsed = true
          const others = pairs.filter((pair) => pair !== first)
          used.resolve({ others, at: performance.now() })
          for (const [index, { use }] of Object.values(uses).entries()) void use(others[index] as Pair)
        })
        first.connection.setIdleTimeout(brief)
      }
      for (let turn = 0; turn < 3; turn += 1) await nextTurn()
      stall(2 * brief)
      const { others, at } = await used.promise
      await nextTurn()
      for (const { connection } of others) if (connection.isActive) connection.setIdleTimeout(0)
      for (const [index, [name, { stays }]] of Object.entries(uses).entries()) {
        const pair = others[index] as Pair
        const ended = (ends.get(pair.connection) as Deferred<Ended>).promise
        const end = await (stays === undefined
          ? ended
          : Promise.race([ended, stays(pair).then(() => undefined)]))
        // Silence that lasts for the limit again may end it.
        const after = end?.code === 'ERR_IDLE_TIMEOUT' ? end.at - at : never
        t.true(after >= brief - tolerance, `${name}: idle after ${after} ms`)
      }
    },
  )
}

for (const place of places) {
  test.serial(`'timeout' of a duplex is not emitted if it is used before: ${words(place)}`, async (t) => {
    const open = await opener(t, place, {})
    const all = [await open(), await open(), await open()]
    await until(() => all.every(({ connection }) => connection.isActive))
    const duplexes = all.map((pair) => ({
      ...pair,
      duplex: pair.connection
        .toDuplex()
        .resume()
        .on('error', () => {}),
    }))
    const used = deferred<number>()
    let order: typeof duplexes = []
    const silent = new Inbox<{ readonly peer: Peer; readonly at: number }>()
    for (const first of duplexes) {
      first.duplex.setTimeout(brief, () => {
        silent.push({ peer: first.peer, at: performance.now() })
        if (order.length > 0) return
        order = [first, ...duplexes.filter((duplex) => duplex !== first)]
        used.resolve(performance.now())
        order[1]?.duplex.setTimeout(0)
        order[2]?.duplex.write('beat')
      })
    }
    for (let turn = 0; turn < 3; turn += 1) await nextTurn()
    stall(2 * brief)
    const at = await used.promise
    const [, unset, written] = order
    await silent.take()
    const next = await silent.take()
    t.true(next.peer === written?.peer)
    t.true(next.at - at >= brief - tolerance, `silent after ${next.at - at} ms`)
    t.is(silent.all.filter(({ peer }) => peer === unset?.peer).length, 0)
    for (const { duplex } of duplexes) duplex.destroy()
  })
}

/** What a user does with an iterator that has given it a message. */
const ways = {
  'asks for more': (iterator: AsyncIterator<Buffer>) => iterator.next(),
  leaves: (iterator: AsyncIterator<Buffer>) => iterator.return?.(),
} as const

/** Takes a message by hand, and lets silence last until two others have ended by it; then goes on by `way`. */
async function takeByHand(
  t: ExecutionContext,
  place: Place,
  way: (iterator: AsyncIterator<Buffer>) => unknown,
  isFramed: boolean,
): Promise<void> {
  const open = await opener(t, place, isFramed ? { framing } : {})
  const silenced = async (): Promise<Connection> => {
    const { connection } = await open()
    await until(() => connection.isActive)
    return connection
  }
  const { connection, peer } = await open()
  await peer.write(isFramed ? frame('x') : 'x')
  const iterator = connection[Symbol.asyncIterator]()
  await iterator.next()
  connection.setIdleTimeout(brief)
  for (let count = 0; count < 2; count += 1) {
    const other = await silenced()
    other.setIdleTimeout(brief)
    await new Promise<void>((resolve) => other.onClose(resolve))
  }
  t.true(connection.isActive, `${words(place)}${isFramed ? ', framed' : ''}`)
  Promise.resolve(way(iterator)).catch(() => {})
  await new Promise<void>((resolve) => connection.onClose(resolve))
}

for (const [name, way] of Object.entries(ways)) {
  test.serial(`a message that was taken by hand is handled until its user ${name}`, async (t) => {
    const all = places.flatMap((place) => [takeByHand(t, place, way, true), takeByHand(t, place, way, false)])
    await Promise.all(all)
  })
}
