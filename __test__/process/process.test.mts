import test from 'ava'

import { runFixture } from '../support/system.mjs'

for (const scenario of [
  'server-closed',
  'dialer-closed',
  'server-unref',
  'connection-unref',
  'failed-listen',
  'failed-dial',
  'never-used',
  'unref-then-ref',
  'early-dial-abort',
  'pool-free',
  'pool-unref',
  'pool-unref-first',
  'pool-closed',
  'mux-idle',
  'mux-unref',
  'mux-unref-first',
  'mux-unref-pollers',
  'mux-unref-waiting',
  'mux-unref-full',
  'mux-unref-closing',
  'mux-closed',
  'pool-closing-put',
  'pool-closed-without-peer',
  'pool-closed-without-peer-pollers',
  'pool-closed-under-call',
  'mux-closed-without-peer',
  'mux-closed-without-peer-pollers',
  'mux-closed-under-call',
]) {
  test(`a process ends by itself: ${scenario}`, async (t) => {
    const { code, signal, stdout, stderr } = await runFixture(t, 'exit', { args: [scenario] })
    t.is(stderr, '')
    t.is(stdout, 'done\n')
    t.is(signal, null)
    t.is(code, 0)
  })
}

for (const scenario of ['mux-ref', 'mux-ref-late']) {
  test(`a process stays until what waits is answered: ${scenario}`, async (t) => {
    const outcome = await runFixture(t, 'exit', { args: [scenario] })
    t.deepEqual(outcome, { code: 0, signal: null, stdout: 'done\nanswered\n', stderr: '' })
  })
}

test('process.exit under traffic ends the process with its code', async (t) => {
  for (let round = 0; round < 5; round += 1) {
    const { code, signal, stderr } = await runFixture(t, 'exit', { args: ['traffic'] })
    t.is(stderr, '')
    t.is(signal, null)
    t.is(code, 7)
  }
})

test('a server that listens keeps its process alive', async (t) => {
  const { code, stdout } = await runFixture(t, 'exit', { args: ['alive'] })
  t.is(stdout, 'answered\n')
  t.is(code, 0)
})

test('an exception that nobody catches in a listener of the user ends nothing when it is handled', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'throwing-listeners')
  t.is(code, 0)
  t.is(stdout, 'served\n')
  // Each with its stack, and none of them uncaught.
  const reports = stderr.split('\n').filter((line) => !line.startsWith('    at ') && line !== '')
  t.is(reports.length, 6)
  for (const report of reports) t.regex(report, /^netpoll: Error: from /)
})

test('sends and flushes that nobody waits for end no process when the peer resets the connection', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'unawaited-sends')
  t.is(stderr, '')
  t.is(stdout, 'served\n')
  t.is(code, 0)
})

test('without descriptors a server reports it once, waits, and accepts later', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'no-descriptors')
  t.is(stderr, '')
  t.is(stdout, 'EMFILE accept\nserved\n')
  t.is(code, 0)
})

test('a process that stalls for longer than closeTimeout still sends everything to a peer that reads', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'stalled-close')
  t.is(stderr, '')
  t.is(stdout, '50000004 bytes\n')
  t.is(code, 0)
})
