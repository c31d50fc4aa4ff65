import test from 'ava'

import {
  checkDeath,
  checkMistakes,
  checkServer,
  checkToldOfDeath,
  checkToldOfMistakes,
  checkUnknownMethod,
  serveForeign,
} from '../support/interop.mjs'
import { codeOf } from '../support/netpoll.mjs'
import {
  buildPython,
  buildTimeout,
  missing,
  python,
  runClient,
  startServer,
  thriftCompiler,
} from '../support/programs.mjs'

const problem = missing('Apache Thrift in Python', python, thriftCompiler)
if (problem !== undefined) process.stderr.write(problem)
const pythonTest = problem === undefined ? test : test.skip

let programs: Awaited<ReturnType<typeof buildPython>>

test.before(async (t) => {
  if (problem !== undefined) return
  t.timeout(buildTimeout)
  programs = await buildPython()
})

for (const transport of ['framed', 'theader'] as const) {
  for (const protocol of ['binary', 'compact'] as const) {
    const flags = ['--transport', transport, '--protocol', protocol]

    pythonTest(`thrift ${transport} ${protocol}: a client in Python calls our server`, async (t) => {
      const { port, calls } = await serveForeign(t)
      await t.notThrowsAsync(runClient(t, programs.client, port, flags))
      const traces = calls.map(({ metadata }) => metadata['trace']).filter((trace) => trace !== undefined)
      t.deepEqual(new Set(traces), new Set(transport === 'theader' ? ['from Python'] : []))
    })

    pythonTest(`thrift ${transport} ${protocol}: our client calls a server in Python`, async (t) => {
      const { port } = await startServer(t, programs.server, flags)
      await checkUnknownMethod(t, await checkServer(t, port, { transport, protocol }))
    })

    pythonTest(
      `thrift ${transport} ${protocol}: our server dies in the middle of a call of a client in Python`,
      async (t) => {
        await checkToldOfDeath(t, programs.failing, flags)
      },
    )

    pythonTest(
      `thrift ${transport} ${protocol}: a client in Python sends malformed arguments and a frame that is too long`,
      async (t) => {
        await checkToldOfMistakes(t, programs.failing, flags)
      },
    )

    pythonTest(
      `thrift ${transport} ${protocol}: a server in Python is sent malformed arguments, and sends a frame that is too long`,
      async (t) => {
        const { port } = await startServer(t, programs.server, flags)
        // Python's server closes the connection, whatever it is that it cannot read.
        const isClosed = (error: unknown) => codeOf(error) === 'ERR_CONN_CLOSED'
        await checkMistakes(t, port, { transport, protocol }, isClosed)
      },
    )

    for (const kind of ['mux', 'pool'] as const) {
      pythonTest(
        `thrift ${transport} ${protocol}: a server in Python dies in the middle of a call by a ${kind}`,
        async (t) => {
          const { port } = await startServer(t, programs.server, flags)
          await checkDeath(t, port, { transport, protocol, kind, connections: 1 })
        },
      )
    }
  }
}
