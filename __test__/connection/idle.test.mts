// `idleTimeout` counts from when the user's code was busy with a connection last: another one, which has been silent for
// longer, closes before it.
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { deferred, Inbox, until } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, connectPeer, framing, gone, rejection, targetOf } from '../support/netpoll.mjs'
import type { Peer } from '../support/peer.mjs'
import { type PlacedOptions, rawServer } from '../support/placed.mjs'
import { type Place, places, words } from '../support/places.mjs'
import { arrived } from '../support/streams.mjs'

/** Milliseconds of silence. */
const limit = 600
/** Milliseconds that the code is busy: shorter than the limit, so that the core has asked for nothing meanwhile. */
const busy = 300
/** Milliseconds, shorter than a stall of ours. */
const brief = 50

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

/** Whether a connection that was busy outlives one that was not; `undefined` where a stall of the machine hides it. */
async function outlives(t: ExecutionContext, kind: Kind, place: Place): Promise<boolean | undefined> {
  const [begun, end] = [deferred(), deferred()]
  const busyness = { begun: begun.resolve, end: end.promise }
  const ends: unknown[] = []
  const open = await opener(t, place, { idleTimeout: limit, ...kind.options(busyness) })
  const note = ({ connection }: Pair, name: string) =>
    new Promise<void>((resolve) => {
      connection.onClose(() => {
        ends.push(name)
        resolve()
      })
    })
  const start = performance.now()
  const used = await open()
  const usedEnds = note(used, 'used')
  void kind.begin(used, busyness)
  await begun.promise
  const silent = await open()
  const silentEnds = note(silent, 'silent')
  const timer = await open()
  timer.connection.setIdleTimeout(busy)
  await note(timer, 'timer')
  const isHidden = ends[0] !== 'timer' || performance.now() - start >= limit
  end.resolve()
  await Promise.all([usedEnds, silentEnds])
  return isHidden ? undefined : ends[1] === 'silent'
}

for (const [name, kind] of Object.entries(kinds)) {
  for (const place of places.filter(({ side }) => kind.sides.includes(side))) {
    test(`${name} is no silence: ${words(place)}`, async (t) => {
      const found: unknown[] = []
      // A machine that takes the processor away for long may close both at once.
      while (found.length < 5 && found.at(-1) !== true) found.push(await outlives(t, kind, place))
      t.not(found.at(-1), false, `${found}`)
    })
  }
}

/** Blocks the whole process, as a long computation would. */
function stall(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

for (const place of places.filter(({ side }) => side === 'server')) {
  test.serial(`what is sent before the silence is told takes it back: ${words(place)}`, async (t) => {
    const ends = new Inbox<unknown>()
    const open = await opener(t, place, {
      idleTimeout: brief,
      onDisconnect: (_connection: Connection, error: Error | undefined) => ends.push(codeOf(error)),
    })
    const { connection, peer } = await open()
    for (let round = 0; round < 3; round += 1) {
      // Pollers of their own have found the silence by then.
      stall(2 * brief)
      // Of that only the core knows.
      connection.writer.writeString('beat')
      await connection.writer.flush()
      connection.setIdleTimeout(0)
      t.is(String(await peer.read(4)), 'beat')
      await arrived(connection, 0)
      t.deepEqual(ends.all, [])
      connection.setIdleTimeout(brief)
    }
    t.is(await ends.take(), 'ERR_IDLE_TIMEOUT')
  })
}
