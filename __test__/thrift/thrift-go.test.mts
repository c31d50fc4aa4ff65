import test from 'ava'

import {
  checkDeath,
  checkLongFrame,
  checkMistakes,
  checkServer,
  checkToldOfDeath,
  checkToldOfMistakes,
  checkUnknownMethod,
  isProtocolError,
  serveForeign,
} from '../support/interop.mjs'
import {
  buildApache,
  buildTimeout,
  go,
  missing,
  type Program,
  runClient,
  startServer,
  thriftCompiler,
} from '../support/programs.mjs'

const problem = missing('Apache Thrift in Go', go, thriftCompiler)
if (problem !== undefined) process.stderr.write(problem)
const goTest = problem === undefined ? test : test.skip

let program: Program

test.before(async (t) => {
  if (problem !== undefined) return
  t.timeout(buildTimeout)
  program = await buildApache()
})

for (const transport of ['framed', 'theader'] as const) {
  for (const protocol of ['binary', 'compact'] as const) {
    const flags = ['--transport', transport, '--protocol', protocol]

    goTest(`thrift ${transport} ${protocol}: a client in Go calls our server`, async (t) => {
      const { port, calls } = await serveForeign(t)
      await t.notThrowsAsync(runClient(t, program, port, flags))
      const traces = calls.map(({ metadata }) => metadata['trace']).filter((trace) => trace !== undefined)
      t.deepEqual(traces, transport === 'theader' ? ['from Go'] : [])
    })

    goTest(`thrift ${transport} ${protocol}: our client calls a server in Go`, async (t) => {
      const { port } = await startServer(t, program, flags)
      await checkUnknownMethod(t, await checkServer(t, port, { transport, protocol }))
    })

    goTest(
      `thrift ${transport} ${protocol}: our server dies in the middle of a call of a client in Go`,
      async (t) => {
        await checkToldOfDeath(t, program, flags)
      },
    )

    goTest(
      `thrift ${transport} ${protocol}: a client in Go sends malformed arguments and a frame that is too long`,
      async (t) => {
        await checkToldOfMistakes(t, program, flags)
      },
    )

    goTest(
      `thrift ${transport} ${protocol}: a server in Go is sent malformed arguments and a frame that is too long, and sends one`,
      async (t) => {
        const { port } = await startServer(t, program, flags)
        await checkMistakes(t, port, { transport, protocol }, isProtocolError)
        await checkLongFrame(t, port, { transport, protocol })
      },
    )

    for (const kind of ['mux', 'pool'] as const) {
      goTest(
        `thrift ${transport} ${protocol}: a server in Go dies in the middle of a call by a ${kind}`,
        async (t) => {
          const { port } = await startServer(t, program, flags)
          await checkDeath(t, port, { transport, protocol, kind, connections: 1 })
        },
      )
    }
  }
}
