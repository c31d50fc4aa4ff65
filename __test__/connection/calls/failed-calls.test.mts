import test, { type ExecutionContext } from 'ava'

import { Dialer, NetpollError } from '../../../dist/index.mjs'
import { type EndPlace, type Ends, endPlaces, ends, endWords } from '../../support/ends.mjs'
import { freePort } from '../../support/listeners.mjs'
import { codeOf, framing, rejection } from '../../support/netpoll.mjs'

/** Writes to a peer that is gone until that is noticed: the first of it may still be taken. */
async function writeToNobody({ connection, socket, gone }: Ends): Promise<unknown> {
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.destroy()
  await closed
  let last: unknown
  while (gone.all.length === 0) {
    await connection.send('for nobody').catch((error: unknown) => {
      last = error
    })
    await new Promise((resolve) => setImmediate(resolve))
  }
  return last
}

function failed(t: ExecutionContext, error: unknown, code: string, syscall: string): void {
  t.true(error instanceof NetpollError)
  t.like(error as NetpollError, { code, syscall, message: `${syscall} ${code}` })
}

const halfOpen = (t: ExecutionContext, place: EndPlace): Promise<Ends> =>
  ends(t, place, { allowHalfOpen: true })

for (const place of endPlaces) {
  test(`an error of a write says so: ${endWords(place)}`, async (t) => {
    const given = await halfOpen(t, place)
    await writeToNobody(given)
    const { error } = await given.gone.take()
    failed(t, error, 'EPIPE', 'write')
    t.is((await given.errors.take()).error, error)
  })

  if (place.transport === 'tcp') {
    test(`an error of a read says so: ${endWords(place)}`, async (t) => {
      const given = await ends(t, place)
      given.socket.resetAndDestroy()
      const { error } = await given.gone.take()
      failed(t, error, 'ECONNRESET', 'read')
      t.is((await given.errors.take()).error, error)
    })
  }
}

for (const pollers of [0, 1, 2]) {
  test(`an error of a dial says so: ${pollers} pollers`, async (t) => {
    const port = await freePort()
    const error = (await rejection(
      new Dialer({ framing, pollers }).dial({ host: '127.0.0.1', port }),
    )) as NetpollError
    t.is(codeOf(error), 'ECONNREFUSED')
    t.is(error.syscall, 'connect')
    t.is(error.message, `connect ECONNREFUSED 127.0.0.1:${port}`)
  })
}
