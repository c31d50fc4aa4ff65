import test from 'ava'

import { nextTurn } from '../support/deferred.mjs'
import { fullValue, plain, serveThrift, thriftClient, ways } from '../support/thrift.mjs'

for (const { transport, protocol } of ways) {
  for (const pollers of [0, 1, 2]) {
    test(`thrift ${transport} ${protocol}: what a call has kept is never overwritten; ${pollers} pollers`, async (t) => {
      const kept: { readonly seen: unknown; readonly value: object }[] = []
      const { port } = await serveThrift(
        t,
        {
          echo: (value) => {
            // Its binary fields are views or copies.
            kept.push({ seen: plain(value), value })
            return value
          },
        },
        { pollers },
      )
      const { service } = thriftClient(t, port, { transport, protocol })
      for (let round = 0; round < 30; round += 1) {
        const values = Array.from({ length: 5 }, (_, index) =>
          Object.assign(fullValue(), {
            text: `text ${round} ${index}`,
            bytes: Buffer.alloc(100 * index + 1, round),
          }),
        )
        const echoes = await Promise.all(values.map((value) => service.echo(value)))
        t.deepEqual(
          echoes.map((echo) => plain(echo)),
          values.map((value) => plain(value)),
        )
      }
      for (const { seen, value } of kept) t.deepEqual(plain(value), seen)
    })
  }

  test(`thrift ${transport} ${protocol}: middleware that waits finds the arguments all the same`, async (t) => {
    const { port } = await serveThrift(t, undefined, {
      middleware: [
        (next) => async (call) => {
          await nextTurn()
          return await next(call)
        },
      ],
    })
    const { service } = thriftClient(t, port, { transport, protocol })
    const values = Array.from({ length: 20 }, () => fullValue())
    const echoes = await Promise.all(values.map((value) => service.echo(value)))
    t.deepEqual(
      echoes.map((echo) => plain(echo)),
      values.map((value) => plain(value)),
    )
  })
}
