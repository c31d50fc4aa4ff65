// The detector of leaks finds what is leaked on purpose, and nothing else.
import test, { type ExecutionContext } from 'ava'

import { runFixture } from '../support/system.mjs'

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

/** What is told first of a leak, and what was printed. */
async function leak(
  t: ExecutionContext,
  name: string,
  pollers: number,
  kind: string,
  age = soon,
  fault: readonly string[] = [],
): Promise<Told & { readonly printed: string }> {
  const { code, stdout, stderr } = await runFixture(t, 'leaks', {
    args: [name, String(pollers), kind, ...fault],
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

/** What the threads of pollers have a part in. */
const alsoOnThreads = new Set([
  'served-connection',
  'endless-onDisconnect',
  'request',
  'call',
  'views',
  'allocated',
])

for (const pollers of [0, 1, 2]) {
  for (const [name, kind, what, at = name] of planted) {
    if (pollers > 0 && !alsoOnThreads.has(name)) continue
    test.serial(`a leak is told: ${name}, ${pollers} pollers`, async (t) => {
      const told = await leak(t, name, pollers, kind)
      t.deepEqual([told.kind, told.what], [kind, what])
      t.true(told.stack.includes(at), told.stack)
      // What a worker prints goes through the main thread, which has ended by then.
      if (!name.startsWith('worker'))
        t.true(told.printed.includes(`LEAK: a ${kind} ${what}, for `), told.printed)
    })
  }

  test.serial(`what is over in time is not told, ${pollers} pollers`, async (t) => {
    const told = await leak(t, 'none', pollers, 'connection', ample)
    t.is(told.what, 'has ended, and is still held')
    t.true(told.stack.includes('ended-connection'), told.stack)
    t.is(told.printed.split('LEAK').length, 2, told.printed)
  })
}

test.serial('after a leak of views, those that are left of further chunks are told one by one', async (t) => {
  const what = 'of received messages is held by views'
  const { lines } = await leak(t, 'exact-views', 0, 'chunk', soon, [what])
  t.regex(lines[0] ?? '', /^ {2}It has \d+ bytes\. Views that are left: 2, of 8, 12 bytes$/)
  t.is(lines[1], '  The first of them went here:')
})
