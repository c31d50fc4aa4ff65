import test from 'ava'

import { runFixture, socketPath } from '../support/system.mjs'

/** How the memory is lost, pollers, transport, and workers. */
const places = [
  ...[0, 1, 2].flatMap((pollers) =>
    ['tcp', 'unix'].map((transport) => ['moved', pollers, transport, 0] as const),
  ),
  ['idle', 0, 'tcp', 0],
  ['idle', 1, 'unix', 0],
  ['idle', 0, 'tcp', 1],
  ['idle', 1, 'unix', 2],
  ['idle', 2, 'tcp', 3],
  ['moved', 0, 'unix', 1],
  ['moved', 1, 'tcp', 2],
  ['moved', 2, 'tcp', 3],
] as const

for (const [kind, pollers, transport, threads] of places) {
  const title = `messages that are put off stay what they are: ${kind}, ${pollers} pollers, ${transport}, ${threads} workers`
  test.serial(title, async (t) => {
    const place = transport === 'tcp' ? transport : socketPath(t)
    const outcome = await runFixture(t, 'postponed', {
      args: [kind, String(pollers), place, String(threads)],
      flags: ['--expose-gc'],
    })
    t.is(outcome.stdout, 'all as they were sent\n', outcome.stderr)
    t.is(outcome.code, 0)
  })
}

/** Elsewhere a handler cannot move the memory that its message lies in. */
const testOfMoves = 'transfer' in ArrayBuffer.prototype ? test.serial : test.serial.skip

for (const [pollers, transport, threads] of [
  [0, 'tcp', 0],
  [1, 'unix', 0],
  [2, 'tcp', 0],
  [0, 'unix', 1],
  [1, 'tcp', 1],
] as const) {
  const title = `a message that cannot be handed over costs its connection: ${pollers} pollers, ${transport}, ${threads} workers`
  testOfMoves(title, async (t) => {
    const place = transport === 'tcp' ? transport : socketPath(t)
    const args = ['refused', String(pollers), place, String(threads)]
    const outcome = await runFixture(t, 'postponed', { args, flags: ['--expose-gc'] })
    const problem = 'malloc ENOMEM: a message that has come cannot be handed over'
    t.is(outcome.stdout, `NetpollError: ${problem}\n`, outcome.stderr)
    t.is(outcome.code, 0)
  })
}
