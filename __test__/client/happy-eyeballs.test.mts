import { getEventListeners } from 'node:events'
import test, { type ExecutionContext } from 'ava'

import {
  type AttemptOutcome,
  interleaveFamilies,
  type Loss,
  Race,
  type StartTimer,
} from '../../dist/client/happy-eyeballs.js'
import { Dialer, NetpollError } from '../../dist/index.mjs'
import { nextTurn } from '../support/deferred.mjs'
import { freePort, fullListener, lookupOf } from '../support/listeners.mjs'
import { codeOf, framing, gone, rejection, serve } from '../support/netpoll.mjs'
import { openSockets } from '../support/system.mjs'

/** A clock that the test moves, and that knows its timers. */
class FakeClock {
  #now = 0
  readonly #timers = new Map<object, { readonly at: number; readonly callback: () => void }>()

  readonly startTimer: StartTimer = (milliseconds, callback) => {
    const key = {}
    this.#timers.set(key, { at: this.#now + milliseconds, callback })
    return () => void this.#timers.delete(key)
  }

  get armed(): number {
    return this.#timers.size
  }

  advance(milliseconds: number): void {
    this.#now += milliseconds
    for (const [key, { at, callback }] of this.#timers) {
      if (at > this.#now) continue
      this.#timers.delete(key)
      callback()
    }
  }
}

/** A race whose attempts do what the test says, and the log of what it did. */
class Course {
  readonly clock = new FakeClock()
  readonly log: string[] = []
  readonly losses: Loss[] = []
  readonly outcomes = new Map<string, AttemptOutcome<string>>()
  readonly race: Race<string, string>

  /** Addresses that begin with `!` fail at once. */
  constructor(...addresses: readonly string[]) {
    this.race = new Race<string, string>({
      addresses,
      attemptDelay: 250,
      startTimer: this.clock.startTimer,
      begin: (address, outcome) => {
        this.log.push(`begin ${address}`)
        if (address.startsWith('!')) throw new Error(address)
        this.outcomes.set(address, outcome)
        return { abandon: () => this.log.push(`abandon ${address}`) }
      },
      won: (connected) => this.log.push(`won by ${connected}`),
      lost: (loss) => {
        this.log.push('lost')
        this.losses.push(loss)
      },
    })
    this.race.start()
  }

  connect(address: string): void {
    this.outcomes.get(address)?.connected(address)
  }

  fail(address: string): void {
    this.outcomes.get(address)?.failed(new Error(address))
  }

  /** What has happened since it was last asked. */
  news(): string[] {
    return this.log.splice(0)
  }

  /** Messages of the errors by which the race was lost. */
  errors(): unknown {
    const [loss] = this.losses
    return loss?.kind === 'exhausted' ? loss.errors.map((error) => (error as Error).message) : loss
  }
}

test('a race of one begins it, and arms no timer', (t) => {
  const course = new Course('a')
  t.deepEqual(course.news(), ['begin a'])
  t.is(course.clock.armed, 0)
  course.connect('a')
  t.deepEqual(course.news(), ['won by a'])
})

test('the first that connects wins, and no other is begun', (t) => {
  const course = new Course('a', 'b')
  course.clock.advance(249)
  t.deepEqual(course.news(), ['begin a'])
  course.connect('a')
  t.deepEqual(course.news(), ['won by a'])
  t.is(course.clock.armed, 0)
})

test('the next begins after the delay, beside those before it', (t) => {
  const course = new Course('a', 'b', 'c')
  course.clock.advance(250)
  t.deepEqual(course.news(), ['begin a', 'begin b'])
  course.clock.advance(249)
  t.deepEqual(course.news(), [])
  course.clock.advance(1)
  t.deepEqual(course.news(), ['begin c'])
  t.is(course.clock.armed, 0)
})

for (const winner of ['a', 'b', 'c']) {
  test(`when ${winner} of three that run connects, the others are ended`, (t) => {
    const course = new Course('a', 'b', 'c', 'd')
    course.clock.advance(250)
    course.clock.advance(250)
    course.news()
    course.connect(winner)
    const losers = ['a', 'b', 'c'].filter((address) => address !== winner)
    t.deepEqual(course.news(), [...losers.map((address) => `abandon ${address}`), `won by ${winner}`])
    t.is(course.clock.armed, 0)
    for (const address of losers) course.fail(address)
    t.deepEqual(course.news(), [])
  })
}

test('the next begins at once when the last has failed, and has a delay of its own', (t) => {
  const course = new Course('a', 'b', 'c')
  course.clock.advance(200)
  course.fail('a')
  t.deepEqual(course.news(), ['begin a', 'begin b'])
  course.clock.advance(249)
  t.deepEqual(course.news(), [])
  t.is(course.clock.armed, 1)
  course.clock.advance(1)
  t.deepEqual(course.news(), ['begin c'])
})

test('one that fails while a later one runs hurries nobody', (t) => {
  const course = new Course('a', 'b', 'c')
  course.clock.advance(250)
  course.fail('a')
  t.deepEqual(course.news(), ['begin a', 'begin b'])
  course.clock.advance(250)
  t.deepEqual(course.news(), ['begin c'])
})

test('those that fail at once are passed over', (t) => {
  const course = new Course('!a', '!b', 'c', 'd')
  t.deepEqual(course.news(), ['begin !a', 'begin !b', 'begin c'])
  t.is(course.clock.armed, 1)
  course.connect('c')
  t.deepEqual(course.news(), ['won by c'])
})

test('a race is lost when all have failed, with their errors in the order of the addresses', (t) => {
  const course = new Course('a', '!b', 'c')
  course.clock.advance(250)
  t.deepEqual(course.news(), ['begin a', 'begin !b', 'begin c'])
  course.fail('c')
  t.deepEqual(course.news(), [])
  course.fail('a')
  t.deepEqual(course.news(), ['lost'])
  t.deepEqual(course.errors(), ['a', '!b', 'c'])
  t.is(course.clock.armed, 0)
})

test('a race of which all fail at once is lost at once', (t) => {
  const course = new Course('!a', '!b')
  t.deepEqual(course.news(), ['begin !a', 'begin !b', 'lost'])
  t.deepEqual(course.errors(), ['!a', '!b'])
})

test('an earlier one may still win when all later ones have failed', (t) => {
  const course = new Course('a', 'b')
  course.clock.advance(250)
  course.fail('b')
  course.connect('a')
  t.deepEqual(course.news(), ['begin a', 'begin b', 'won by a'])
})

test('a race that is abandoned is lost with the reason, once its attempts are over', (t) => {
  const course = new Course('a', 'b', 'c')
  course.clock.advance(250)
  course.news()
  course.race.abandon('no longer')
  course.race.abandon('a second reason')
  t.deepEqual(course.news(), ['abandon a', 'abandon b'])
  t.is(course.clock.armed, 0)
  course.fail('b')
  t.deepEqual(course.news(), [])
  course.fail('a')
  t.deepEqual(course.news(), ['lost'])
  t.deepEqual(course.losses, [{ kind: 'abandoned', reason: 'no longer' }])
})

test('an attempt that connects after the race was abandoned does not win', (t) => {
  const course = new Course('a', 'b')
  course.race.abandon(undefined)
  course.connect('a')
  course.fail('a')
  t.deepEqual(course.news(), ['begin a', 'abandon a', 'lost'])
})

test('a race that is over is not abandoned any more', (t) => {
  const won = new Course('a')
  won.connect('a')
  won.race.abandon('late')
  t.deepEqual(won.news(), ['begin a', 'won by a'])
  const lost = new Course('!a')
  lost.race.abandon('late')
  t.deepEqual(lost.news(), ['begin !a', 'lost'])
})

const orders: readonly (readonly [string, string])[] = [
  ['', ''],
  ['4a', '4a'],
  ['4a 4b', '4a 4b'],
  ['6a 6b 4a 4b', '6a 4a 6b 4b'],
  ['4a 4b 4c 6a', '4a 6a 4b 4c'],
  ['4a 6a 6b 6c', '4a 6a 6b 6c'],
  ['6a 4a 4b 6b 6c 4c 4d', '6a 4a 6b 4b 6c 4c 4d'],
]

for (const [found, tried] of orders) {
  test(`addresses that were found as '${found}' are tried as '${tried}'`, (t) => {
    const addresses = found
      .split(' ')
      .filter((name) => name !== '')
      .map((name) => ({ name, family: name.startsWith('4') ? (4 as const) : (6 as const) }))
    const ordered = interleaveFamilies(addresses)
    t.is(ordered.map(({ name }) => name).join(' '), tried)
  })
}

/** A dialer whose attempts that do not win are nobody’s business. */
function quietDialer(t: ExecutionContext, ...addresses: readonly string[]): Dialer {
  return new Dialer({
    framing,
    lookup: lookupOf(...addresses),
    connectTimeout: 0,
    connectionAttemptDelay: 10,
    onError: () => t.fail(),
    onDisconnect: () => t.fail(),
  })
}

for (const dead of [['::1'], ['127.0.0.2'], ['::1', '127.0.0.2', '127.0.0.3']]) {
  test(`behind ${dead.join(' and ')}, where nobody listens, the next address is found`, async (t) => {
    const { port } = await serve(t, {}, (request) => request)
    const dialer = new Dialer({ framing, lookup: lookupOf(...dead, '127.0.0.1') })
    const connection = await dialer.dial({ host: 'some.name', port })
    t.teardown(() => gone(connection))
    t.deepEqual(connection.remoteAddress, { address: '127.0.0.1', family: 'IPv4', port })
    t.is((await connection.call('x')).toString(), 'x')
  })
}

test.serial('an address that hangs holds up no other, and its attempt is closed', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  await fullListener(t, { host: '127.0.0.2', port })
  const before = openSockets()
  const controller = new AbortController()
  const dialer = new Dialer({
    framing,
    lookup: lookupOf('127.0.0.2', '127.0.0.1'),
    connectTimeout: 0,
    connectionAttemptDelay: 10,
    onError: () => t.fail(),
  })
  const connection = await dialer.dial({ host: 'some.name', port, signal: controller.signal })
  t.deepEqual(connection.remoteAddress, { address: '127.0.0.1', family: 'IPv4', port })
  t.deepEqual(getEventListeners(controller.signal, 'abort'), [])
  t.is((await connection.call('x')).toString(), 'x')
  // Both ends of the connection, and nothing else.
  t.is(openSockets().size, before.size + 2)
  await connection.close()
})

test.serial('several addresses that hang end with the one deadline of their dial', async (t) => {
  const { port } = await fullListener(t, { host: '0.0.0.0' })
  const before = openSockets()
  const dialer = quietDialer(t, '127.0.0.1', '127.0.0.2', '127.0.0.3')
  const error = await rejection(dialer.dial({ host: 'some.name', port, connectTimeout: 100 }))
  t.true(error instanceof NetpollError)
  t.is(codeOf(error), 'ERR_DIAL_TIMEOUT')
  t.deepEqual(openSockets(), before)
})

test.serial('a dial that is given up ends all of its attempts', async (t) => {
  const { port } = await fullListener(t, { host: '0.0.0.0' })
  const before = openSockets()
  const controller = new AbortController()
  const { signal } = controller
  const dialer = quietDialer(t, '127.0.0.1', '127.0.0.2', '127.0.0.3')
  const dialing = rejection(dialer.dial({ host: 'some.name', port, signal }))
  while (openSockets().size < before.size + 3) await nextTurn()
  const reason = new Error('no longer')
  controller.abort(reason)
  t.is(await dialing, reason)
  t.deepEqual(openSockets(), before)
  t.deepEqual(getEventListeners(signal, 'abort'), [])
})

test.serial(
  'when every address fails the error is the first one’s, with all of them as its cause',
  async (t) => {
    const port = await freePort()
    const before = openSockets()
    const dialer = quietDialer(t, '127.0.0.1', '127.0.0.2', '::1')
    const error = (await rejection(dialer.dial({ host: 'some.name', port }))) as NetpollError
    t.true(error instanceof NetpollError)
    t.deepEqual(
      [error.code, error.syscall, error.address, error.port],
      ['ECONNREFUSED', 'connect', '127.0.0.1', port],
    )
    t.true(error.cause instanceof AggregateError)
    const errors = (error.cause as AggregateError).errors as readonly NetpollError[]
    t.deepEqual(
      errors.map(({ code, address }) => [code, address]),
      ['127.0.0.1', '::1', '127.0.0.2'].map((address) => ['ECONNREFUSED', address]),
    )
    t.deepEqual(openSockets(), before)
  },
)

test('the error of the only address is its own', async (t) => {
  const port = await freePort()
  const error = await rejection(quietDialer(t, '127.0.0.2').dial({ host: 'some.name', port }))
  t.deepEqual([codeOf(error), (error as NetpollError).address], ['ECONNREFUSED', '127.0.0.2'])
  t.is((error as NetpollError).cause, undefined)
})
