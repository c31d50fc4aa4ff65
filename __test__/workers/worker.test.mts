import test from 'ava'

import { runFixture } from '../support/system.mjs'

for (const [scenario, title] of [
  ['several', 'several workers serve and dial at once, beside the main thread'],
  ['terminate', 'a worker may be terminated under traffic, thirty times'],
  ['terminate-many', 'many workers may be terminated at once'],
  ['terminate-direct', 'a worker may be terminated while memory of its own waits to be sent'],
  ['exit', 'a worker that has closed everything ends by itself'],
  ['process-exit', 'a worker may end itself under traffic by process.exit'],
  ['main-exit', 'a process may exit while its workers serve'],
  ['held', 'views that a worker held do not outlive their bytes'],
] as const) {
  test(title, async (t) => {
    const { code, signal, stdout, stderr } = await runFixture(t, 'workers', { args: [scenario] })
    t.is(stderr, '')
    t.is(signal, null)
    t.is(stdout, 'done\n')
    t.is(code, 0)
  })
}

for (const [kind, title] of [
  ['inline', 'that serve and dial in their own event loops'],
  ['pollers', 'that serve and dial by pollers on threads'],
  ['handlers-lost', 'that handle requests, where there is a reply for what is lost'],
  ['handlers-closing', 'that handle requests, where what is lost closes its connection'],
] as const) {
  test(`workers are terminated under load, and every call is settled: ${title}`, async (t) => {
    const outcome = await runFixture(t, 'terminations', { args: [kind, '12'] })
    t.deepEqual(outcome, { code: 0, signal: null, stdout: 'done\n', stderr: '' })
  })
}

for (const pollers of [0, 1]) {
  test(`memory that was moved out of a thread outlives it: ${pollers} pollers`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'moved-memory', {
      args: ['moves', '12', String(pollers), '1'],
      flags: ['--expose-gc'],
    })
    t.deepEqual([code, stderr], [0, ''])
    const { received, kept } = JSON.parse(stdout) as { received: number; kept: number }
    t.true(received > 0)
    t.true(kept > 0)
  })
}

test('what no code has moved is not kept when threads end', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'moved-memory', {
    args: ['none', '20', '0', '1'],
    flags: ['--expose-gc'],
  })
  t.deepEqual([code, stderr], [0, ''])
  t.is((JSON.parse(stdout) as { kept: number }).kept, 0)
})

for (const pollers of [0, 1]) {
  for (const kind of ['terminate', 'exit']) {
    test(`what the engine has collected and not yet freed is not kept when threads end: ${kind}, ${pollers} pollers`, async (t) => {
      const { code, stdout, stderr } = await runFixture(t, 'unmoved-memory', {
        args: [kind, '15', String(pollers), '1'],
        flags: ['--expose-gc'],
      })
      t.deepEqual([code, stderr], [0, ''])
      t.is((JSON.parse(stdout) as { kept: number }).kept, 0)
    })
  }
}
