// The detector of leaks finds what is leaked on purpose, and nothing else.
import test, { type ExecutionContext } from 'ava'

import { runFixture, socketPath } from '../support/system.mjs'

interface Told {
  readonly kind: string
  readonly what: string
  readonly stack: string
  readonly lines: readonly string[]
}

/** Milliseconds after which what is leaked is told. */
const soon = '400'
/** Milliseconds in which what is no leak is over, also on a busy machine. */
const ample = '4000'

/** Where something leaks. */
interface Where {
  readonly pollers?: number
  /** A path is the one of a socket. */
  readonly transport?: 'tcp' | 'tls' | 'unix'
  /** Whether in a thread of the user's. */
  readonly inWorker?: boolean
}

/** Programs that run at once: most of their time they wait for what is to be old. */
const lanes = Array.from({ length: 3 }, () => Promise.resolve())
let tests = 0

/** As `test`, of tests of which three run at a time. */
function inLane(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  const lane = tests % lanes.length
  tests += 1
  test(title, (t) => {
    const turn = (lanes[lane] ?? Promise.resolve()).then(() => run(t))
    lanes[lane] = turn.catch(() => {})
    return turn
  })
}

/** What is told first of a leak of this kind, or with this fault, and what was printed. */
async function leak(
  t: ExecutionContext,
  name: string,
  { pollers = 0, transport = 'tcp', inWorker = false }: Where,
  kind: string,
  { age = soon, fault = '' } = {},
): Promise<Told & { readonly printed: string }> {
  const place = transport === 'unix' ? socketPath(t) : transport
  const args = [name, String(pollers), kind, fault, place]
  const { code, stdout, stderr } = await runFixture(t, inWorker ? 'in-worker' : 'leaks', {
    args: inWorker ? ['leaks', ...args] : args,
    env: { NETPOLL_LEAK_DETECTION: 'paranoid', NETPOLL_LEAK_AGE: age, NETPOLL_LEAK_FILE: '' },
  })
  t.is(code, 0, stderr)
  return { ...(JSON.parse(stdout) as Told), printed: stderr }
}

/** By what is leaked: what is told, and which function of the fixture its stack names. */
const planted: readonly (readonly [name: string, kind: string, what: string, at?: string])[] = [
  ['ended-connection', 'connection', 'has ended, and is still held'],
  ['served-connection', 'connection', 'has ended, and is still held'],
  ['endless-onConnect', 'connection', 'waits for its onConnect'],
  ['endless-onDisconnect', 'connection', 'waits for its onDisconnect'],
  ['lost-onDisconnect', 'connection', 'waits for its onDisconnect'],
  ['lent-connection', 'connection', 'of a pool was lent, and not given back'],
  ['stuck-close', 'connection', 'is being closed'],
  ['request', 'request', 'waits for its handler'],
  ['unordered-request', 'request', 'waits for its handler'],
  ['abandoned-request', 'request', 'of a connection that has ended waits for its handler'],
  ['later-reply', 'request', 'waits for its handler', 'onMessage'],
  ['call', 'request', 'waits for its reply'],
  ['worker-request', 'request', 'of a worker waits for its handler', ''],
  ['worker-later-reply', 'request', 'of a worker waits for its later reply', 'onMessage'],
  ['views', 'chunk', 'of received messages is held by views'],
  ['replies', 'chunk', 'of received messages is held by views'],
  ['unswept-chunk', 'chunk', 'of received messages is kept although none come', ''],
  ['stream-views', 'chunk', 'of received messages is held by views', 'onData'],
  ['allocated', 'chunk', 'of outgoing bytes has some that were allocated and not sent'],
  ['unflushed', 'chunk', 'of outgoing bytes has some that were written and not flushed'],
  ['forgotten-deadline', 'timer', 'of a connection has not fired in time'],
  ['idle-timer', 'timer', 'is armed although nothing is open'],
  ['idle-interval', 'timer', 'is armed although nothing is open'],
]

/** Calls and what they wait for, of clients of every kind. */
const plantedInClients: typeof planted = [
  ['pool-call', 'request', 'waits for its reply'],
  ['mux-call', 'request', 'waits for its reply'],
  ['mux-send', 'request', 'waits for a connection'],
  ['cluster-call', 'request', 'waits for its reply'],
  ['cluster-hedged-call', 'request', 'waits for its reply'],
  ['cluster-waiting-call', 'request', 'waits for a server'],
  ['cluster-waiting-send', 'request', 'waits for a server'],
  ['dialed-request', 'request', 'waits for its handler'],
  ['served-call', 'request', 'waits for its reply', 'onConnect'],
  ['rpc-request', 'request', 'waits for its handler'],
  ['rpc-oneway-request', 'request', 'waits for its handler'],
  ['rpc-call', 'request', 'waits for its reply'],
  ['rpc-pool-call', 'request', 'waits for its reply'],
  ['rpc-cluster-call', 'request', 'waits for its reply'],
  ['rpc-inflated-reply', 'request', 'waits for its reply to be inflated'],
  ['thrift-request', 'request', 'waits for its handler'],
  ['thrift-call', 'request', 'waits for its reply'],
  ['thrift-header-call', 'request', 'waits for its reply'],
]

/** What the threads of pollers have a part in. */
const alsoOnThreads = ['served-connection', 'endless-onDisconnect', 'request', 'call', 'views', 'allocated']

/** A leak of each kind, in what other transports and threads have a part in. */
const ofEachKind = [
  'ended-connection',
  'served-connection',
  'request',
  'call',
  'views',
  'replies',
  'allocated',
  'forgotten-deadline',
  'idle-timer',
]

/** By where something leaks: which is planted there. */
const everywhere: readonly (readonly [where: Where, names: readonly string[] | undefined])[] = [
  [{}, undefined],
  [{ pollers: 1 }, alsoOnThreads],
  [{ pollers: 2 }, alsoOnThreads],
  [{ transport: 'tls' }, [...ofEachKind, 'stream-views', 'stuck-close', 'unflushed']],
  [{ transport: 'tls', pollers: 1 }, ['served-connection', 'call', 'views']],
  [{ transport: 'unix' }, ['served-connection', 'request', 'call', 'views']],
  [{ inWorker: true }, [...ofEachKind, 'lent-connection', 'worker-request', 'thrift-call', 'cluster-call']],
  [{ inWorker: true, pollers: 1 }, ['served-connection', 'call', 'views']],
]

for (const [where, names] of everywhere) {
  const place = Object.entries(where).flat().join(' ') || 'inline'
  for (const [name, kind, what, at = name] of [...planted, ...plantedInClients]) {
    if (names !== undefined && !names.includes(name)) continue
    inLane(`a leak is told: ${name} ${place}`, async (t) => {
      const told = await leak(t, name, where, kind, { fault: what })
      t.deepEqual([told.kind, told.what], [kind, what])
      t.true(told.stack.includes(at), told.stack)
      // What a thread prints goes through the main thread, which has ended by then.
      if (!name.startsWith('worker') && !where.inWorker)
        t.true(told.printed.includes(`LEAK: a ${kind} ${what}, for `), told.printed)
    })
  }

  inLane(`what is over in time is not told: ${place}`, async (t) => {
    const told = await leak(t, 'none', where, 'connection', { age: ample })
    t.is(told.what, 'has ended, and is still held')
    t.true(told.stack.includes('ended-connection'), told.stack)
    if (!where.inWorker) t.is(told.printed.split('LEAK').length, 2, told.printed)
  })
}

inLane('after a leak of views, those that are left of further chunks are told one by one', async (t) => {
  const what = 'of received messages is held by views'
  const { lines } = await leak(t, 'exact-views', {}, 'chunk', { fault: what })
  t.regex(lines[0] ?? '', /^ {2}It has \d+ bytes\. Views that are left: 2, of 8, 12 bytes$/)
  t.is(lines[1], '  The first of them went here:')
})
