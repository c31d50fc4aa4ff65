import test from 'ava'

import { runFixture } from '../support/system.mjs'

const transports = ['tcp', 'unix'] as const
const drivers = ['0', '1', '2', 'workers-1', 'workers-2', 'workers-3'] as const
const places = transports.flatMap((transport) => [
  ...drivers.map((driver) => ['server', driver, transport] as const),
  ...drivers.slice(0, 3).map((driver) => ['dialed', driver, transport] as const),
])

for (const place of places) {
  test(`without onError an error is on stderr with its class, stack and cause: ${place.join(', ')}`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'reports', { args: ['error', ...place] })
    t.is(code, 0)
    t.is(stdout, 'done\n')
    t.regex(stderr, /^netpoll: PaymentError: no money\n {4}at [^\n]*reports\.mjs:\d+:\d+/)
    t.regex(stderr, /code: 'E_PAYMENT'/)
    t.regex(stderr, /\[cause\]: RangeError: beneath\n +at [^\n]*reports\.mjs:\d+:\d+/)
    t.is(stderr.split('netpoll: ').length, 2)
  })

  test(`a logger gets one line, with the class: ${place.join(', ')}`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'reports', { args: ['error', ...place, 'logger'] })
    t.is(code, 0)
    t.is(stderr, '')
    t.is(stdout, '"PaymentError: no money"\ndone\n')
  })
}

const others: readonly (readonly [string, RegExp])[] = [
  [
    'type',
    /^netpoll: TypeError: Cannot read properties of undefined \(reading 'x'\)\n {4}at [^\n]*reports\.mjs:/,
  ],
  ['text', /^netpoll: only a text\n$/],
  ['object', /^netpoll: \{ only: 'an object' \}\n$/],
  ['uncloneable', /^netpoll: (Payment)?Error: (PaymentError: )?no clone\n {4}at [^\n]*reports\.mjs:/],
  ['long', /^netpoll: Error: x{16000,16384}…\n$/],
]

for (const [kind, expected] of others) {
  for (const driver of ['0', '1', 'workers-1']) {
    test(`without onError what is thrown is on stderr: ${kind}, ${driver}`, async (t) => {
      const { code, stdout, stderr } = await runFixture(t, 'reports', {
        args: [kind, 'server', driver, 'tcp'],
      })
      t.is(code, 0)
      t.is(stdout, 'done\n')
      t.regex(stderr, expected)
    })
  }
}

for (const kind of ['silent', 'stackless']) {
  for (const driver of ['0', '1', 'workers-1']) {
    test(`without onError an error that throws when it is asked is told all the same: ${kind}, ${driver}`, async (t) => {
      const { code, stdout, stderr } = await runFixture(t, 'reports', {
        args: [kind, 'server', driver, 'tcp'],
      })
      t.is(code, 0)
      t.is(stdout, 'done\n')
      t.regex(stderr, /^netpoll: /)
      t.is(stderr.split('netpoll: ').length, 2)
    })
  }
}
