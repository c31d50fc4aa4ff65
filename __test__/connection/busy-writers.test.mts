import test from 'ava'

import { places, words } from '../support/places.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

// Serial: each is a process that writes as fast as it can, and its peer.
for (const place of places) {
  const { side, pollers, transport } = place
  for (const size of [16, 65_536]) {
    test.serial(
      `busy writers learn that their peer has gone: ${words(place)}, messages of ${size} bytes`,
      async (t) => {
        const address = transport === 'tcp' ? 'tcp' : socketPath(t)
        const { code, signal, stdout, stderr } = await runFixture(t, 'busy-writers', {
          args: [side, String(pollers), address, String(size)],
        })
        t.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
        const { ends, grown } = JSON.parse(stdout) as {
          ends: Record<string, unknown[]>
          grown: Record<string, number>
        }
        t.deepEqual(Object.keys(ends).length, 7)
        for (const [form, codes] of Object.entries(ends)) {
          t.is(codes.length, form === 'ten slow readers' ? 10 : 1)
          for (const end of codes) {
            t.true(
              ['ECONNRESET', 'EPIPE', 'ERR_CONN_CLOSED'].includes(end as string),
              `${form} ended with ${end}`,
            )
          }
        }
        for (const [form, mebibytes] of Object.entries(grown)) {
          t.true(mebibytes <= 64, `resident memory has grown by ${mebibytes} MiB after ${form}`)
        }
      },
    )
  }
}
