import test from 'ava'

import { configure, createServer } from '../../dist/index.mjs'
import { deferred } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, connectPeer, framing, portOf } from '../support/netpoll.mjs'
import { runFixture } from '../support/system.mjs'

test('pollers and chunks are those of the process, also in threads that are started later', async (t) => {
  const { stdout, stderr, code } = await runFixture(t, 'configured')
  t.is(stderr, '')
  t.is(code, 0)
  t.deepEqual(JSON.parse(stdout), {
    main: [16 * 1024, 2],
    inWorker: [16 * 1024, 2],
    refused: 'ERR_INVALID_ARG_VALUE',
    later: [16 * 1024, 3],
    live: 0,
  })
})

for (const [options, code] of [
  [undefined, 'ERR_INVALID_ARG_TYPE'],
  [{ pollers: 65 }, 'ERR_INVALID_ARG_VALUE'],
  [{ pollers: '1' }, 'ERR_INVALID_ARG_TYPE'],
  [{ loadBalance: 'best' }, 'ERR_INVALID_ARG_TYPE'],
  [{ logger: 'stderr' }, 'ERR_INVALID_ARG_TYPE'],
  [{ chunkSize: 16 * 1024 - 4_096 }, 'ERR_INVALID_ARG_VALUE'],
  [{ chunkSize: 32 * 1024 * 1024 }, 'ERR_INVALID_ARG_VALUE'],
  [{ chunkSize: 20_000 }, 'ERR_INVALID_ARG_VALUE'],
] as const) {
  test(`${JSON.stringify(options)} is refused`, (t) => {
    const error = t.throws(() => configure(options as never), { instanceOf: TypeError })
    t.is(codeOf(error), code)
  })
}

test('what nobody else is told of goes to the logger, one line each', async (t) => {
  const lines: string[] = []
  const logged = deferred()
  configure({
    logger: (line) => {
      lines.push(line)
      logged.resolve()
    },
  })
  const server = createServer({ framing }, () => {
    throw new Error('of two\nlines')
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const peer = await connectPeer(t, { port: portOf(server) })
  await peer.write(frame('x'))
  await logged.promise
  await peer.readToEnd()
  t.deepEqual(lines, ['Error: of two lines'])
})
