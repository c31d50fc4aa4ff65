import test, { type ExecutionContext } from 'ava'

import { Dialer, Mux, NetpollError, Pool } from '../../dist/index.mjs'
import { endPlaces, ends, endWords } from '../support/ends.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, framing, rejection, serve } from '../support/netpoll.mjs'

const causeOf = (error: unknown): unknown => (error as Error).cause

function closedBecause(t: ExecutionContext, error: unknown, cause: unknown): void {
  t.true(error instanceof NetpollError)
  t.is(codeOf(error), 'ERR_CONN_CLOSED')
  if (typeof cause === 'string') t.is(codeOf(causeOf(error)), cause)
  else t.is(causeOf(error), cause)
}

for (const place of endPlaces) {
  test(`whoever sends on a connection whose peer has ended it learns so: ${endWords(place)}`, async (t) => {
    const given = await ends(t, place)
    given.socket.end()
    await given.gone.take()
    closedBecause(t, await rejection(given.connection.send('x')), 'ERR_EOF')
  })

  if (place.side === 'dialed') {
    test(`a call whose peer ends the connection learns so: ${endWords(place)}`, async (t) => {
      const given = await ends(t, place)
      const called = rejection(given.connection.call('x'))
      given.socket.once('data', () => given.socket.end())
      closedBecause(t, await called, 'ERR_EOF')
      closedBecause(t, await rejection(given.connection.call('x')), 'ERR_EOF')
    })
  }

  if (place.threads === undefined) {
    test(`after a handler has failed its error is the cause: ${endWords(place)}`, async (t) => {
      const failure = new Error('of the handler')
      const onRequest = (): never => {
        throw failure
      }
      const given = await ends(t, place, place.side === 'dialed' ? { onRequest } : {})
      if (place.side === 'server') given.connection.onRequest = onRequest
      given.socket.end(frame('x'))
      t.is((await given.errors.take()).error, failure)
      closedBecause(t, await rejection(given.connection.send('x')), failure)
      await given.gone.take()
      closedBecause(t, await rejection(given.connection.send('x')), failure)
    })
  }
}

for (const pollers of [0, 1, 2]) {
  test(`calls of all kinds learn that the server has closed: ${pollers} pollers`, async (t) => {
    const { port } = await serve(t, { pollers, onError: () => {} }, () => {
      throw new Error('of the handler')
    })
    const at = { host: '127.0.0.1', port }
    const connection = await new Dialer({ framing, pollers }).dial(at)
    closedBecause(t, await rejection(connection.call('x')), 'ERR_EOF')
    const mux = new Mux(at, { framing, pollers })
    closedBecause(t, await rejection(mux.call('x')), 'ERR_EOF')
    const pool = new Pool(at, { framing, pollers })
    closedBecause(t, await rejection(pool.call('x')), 'ERR_EOF')
    await Promise.all([mux.close(), pool.close()])
  })

  test(`who closes a connection gets no cause: ${pollers} pollers`, async (t) => {
    const { port } = await serve(t, { pollers }, () => new Promise<never>(() => {}))
    const connection = await new Dialer({ framing, pollers }).dial({ host: '127.0.0.1', port })
    const called = rejection(connection.call('x'))
    connection.destroy()
    closedBecause(t, await called, undefined)
  })
}
