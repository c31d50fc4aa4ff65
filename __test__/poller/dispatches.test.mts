import { createRequire } from 'node:module'
import test from 'ava'

import { keepBusy } from '../support/busy.mjs'
import { nextTurn } from '../support/deferred.mjs'
import { serve } from '../support/netpoll.mjs'

/** What the package makes a poller of: its words, and what is called for them. */
type Given = [string, unknown, Int32Array, unknown, { receiver: object; dispatch: () => void }, unknown]

const binding = createRequire(import.meta.url)('../../binding/index.js') as {
  EventLoop: new (...given: Given) => object
}
let [batches, rests] = [0, 0]

binding.EventLoop = class extends binding.EventLoop {
  constructor(...[placement, memory, words, commands, callbacks, failed]: Given) {
    const dispatch = (): void => {
      if ((words[0] as number) > 0) batches += 1
      else rests += 1
      callbacks.dispatch()
    }
    super(placement, memory, words, commands, { ...callbacks, dispatch }, failed)
  }
}

for (const pollers of [0, 1]) {
  test.serial(`fast handlers are called once for a batch, with ${pollers} pollers`, async (t) => {
    let handled = 0
    const { port } = await serve(t, { pollers }, (request) => {
      handled += 1
      return request
    })
    await keepBusy(t, port)
    // A thread that had to wait for a processor seems slow for some hundred calls afterwards. A poller that asks too often does so
    // in every round.
    for (let round = 0; round < 50; round += 1) {
      ;[batches, rests, handled] = [0, 0, 0]
      while (handled < 20_000) await nextTurn()
      if (rests < batches / 2) break
    }
    t.log(`${rests} rests of ${batches} batches`)
    t.true(batches > 0 && rests < batches / 2, `${rests} rests of ${batches} batches`)
  })
}
