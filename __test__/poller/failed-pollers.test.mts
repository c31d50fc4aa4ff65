import test from 'ava'

import { runFixture } from '../support/system.mjs'

/** Only there does a test find the descriptor that it takes away. */
const testOnLinux = process.platform === 'linux' ? test : test.skip
const said =
  'netpoll: ERR_POLLER_FAILED: A poller has failed: netpoll cannot poll: Invalid argument (os error 22)\n'

for (const transport of ['tcp', 'unix']) {
  testOnLinux(
    `servers that share a socket close with the error of who accepts for them: ${transport}`,
    async (t) => {
      const outcome = await runFixture(t, 'failed-poller', { args: ['shared', transport] })
      const told = ['ERR_POLLER_FAILED', 'ERR_POLLER_FAILED']
      const refusal = transport === 'tcp' ? 'ECONNREFUSED' : 'ENOENT'
      t.is(outcome.stdout, `${JSON.stringify([false, false, told, refusal, 'third'])}\n`)
      t.like(outcome, { code: 0, stderr: '' })
    },
  )

  for (const kind of ['pollers-1', 'pollers-2-listening', 'pollers-2-other', 'workers']) {
    testOnLinux(
      `a server whose poller fails closes, and nobody waits for it: ${kind}, ${transport}`,
      async (t) => {
        const outcome = await runFixture(t, 'failed-poller', { args: [kind, transport] })
        const replyLength = kind === 'workers' ? 1 : 5
        t.is(outcome.stdout, `${JSON.stringify([false, true, 4, replyLength])}\n`)
        t.like(outcome, { code: 0, stderr: '' })
      },
    )
  }

  testOnLinux(`nothing is left of a poller's thread that has failed: ${transport}`, async (t) => {
    const outcome = await runFixture(t, 'failed-poller', { args: ['released', transport] })
    t.is(outcome.stdout, `${JSON.stringify([false, true, 0])}\n`)
    t.like(outcome, { code: 0, stderr: '' })
  })

  testOnLinux(`what is sent beside a poller that has failed stays as it is: ${transport}`, async (t) => {
    const outcome = await runFixture(t, 'failed-poller', { args: ['inline', transport] })
    t.is(outcome.stdout, `${JSON.stringify([false, [400, 400, 400]])}\n`)
    t.like(outcome, { code: 0, stderr: '' })
  })

  testOnLinux(
    `calls and loops of a dialer whose poller fails end with the error: ${transport}`,
    async (t) => {
      const outcome = await runFixture(t, 'failed-poller', { args: ['dialer', transport] })
      const ends = ['ERR_POLLER_FAILED', 'ERR_POLLER_FAILED', 'ERR_CONN_CLOSED', 'first']
      t.is(outcome.stdout, `${JSON.stringify(ends)}\n`)
      t.like(outcome, { code: 0, stderr: said })
    },
  )
}

for (const placement of ['inline', 'thread']) {
  test(`a poller that panics where a handler turns the event loop fails alone: ${placement}`, async (t) => {
    const outcome = await runFixture(t, 'short-words', { args: [placement] })
    t.is(outcome.stdout, 'object netpoll panicked: within the shared words\n', outcome.stderr)
    t.like(outcome, { code: 0, signal: null })
  })
}
