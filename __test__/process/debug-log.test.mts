// `NODE_DEBUG=netpoll` prints what the diagnostics channels tell, and costs nothing where it is not set.
import test, { type ExecutionContext } from 'ava'

import { type Outcome, runFixture } from '../support/system.mjs'

async function run(t: ExecutionContext, value: string, pollers: number, place = 'main'): Promise<Outcome> {
  return await runFixture(t, 'debugged', { args: [String(pollers), place], env: { NODE_DEBUG: value } })
}

/** Lines about one end, in their order. */
function linesOf(stderr: string, about: (line: string) => boolean): readonly string[] {
  return stderr
    .split('\n')
    .map((line) => line.replace(/^NETPOLL \d+: /, ''))
    .filter(about)
}

for (const pollers of [0, 1, 2]) {
  for (const place of ['main', 'thread', 'hostile']) {
    test(`all events are printed: ${place}, ${pollers} pollers`, async (t) => {
      const { code, stdout, stderr } = await run(t, 'net,netpoll', pollers, place)
      t.is(code, 0)
      const port = stdout.trim()
      const ours = stderr.split('\n').filter((line) => line.startsWith('NETPOLL '))
      for (const line of ours) t.regex(line, /^NETPOLL \d+: (listen|connect|request|error|close) /)
      const there = `127.0.0.1:${port}`
      const client = place === 'hostile' ? 'an unknown peer' : there
      const accepted = linesOf(
        ours.join('\n'),
        (line) => !line.includes(client) && line !== `listen ${there}`,
      )
      t.deepEqual(
        accepted.map((line) => line.replace(/127\.0\.0\.1:\d+/, 'peer')),
        [
          'connect peer',
          'request peer: 5 bytes',
          'request peer: 3 bytes',
          'error peer: Error: refused bad',
          'close peer: in order',
        ],
      )
      const dialed = linesOf(ours.join('\n'), (line) => line.includes(client) && !line.startsWith('listen'))
      t.deepEqual(dialed, [`connect ${client}`, `close ${client}: in order`])
      t.is(linesOf(ours.join('\n'), (line) => line === `listen ${there}`).length, 1)
    })
  }

  test(`nothing is printed, and nothing subscribes, where it is not asked for: ${pollers} pollers`, async (t) => {
    for (const value of ['', 'net', 'netpol', 'netpolls']) {
      const { code, stderr } = await run(t, value, pollers)
      t.is(code, 0)
      t.notRegex(stderr, /NETPOLL/)
    }
  })
}
