import test, { type ExecutionContext } from 'ava'

import { createServer, createWriter, Dialer, lengthField, stats } from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { descriptors, descriptorsAre } from '../support/descriptors.mjs'
import { everyday, everydayPlaces } from '../support/everyday.mjs'
import { placeOf } from '../support/listeners.mjs'
import { targetOf } from '../support/netpoll.mjs'
import { openRealm } from '../support/realm.mjs'
import { runFixture } from '../support/system.mjs'

const framing = lengthField({ size: 4 })
/** Most bytes by which the heap may grow, however often the modules are loaded. */
const maxHeap = 10 * 1024 * 1024

/** What this process has without the package. */
const atFirst = descriptors()

// What the test before has used ends first.
test.beforeEach(() => descriptorsAre(atFirst))

for (const [rounds, pollers, transport] of [
  [200, 0, 'tcp'],
  [40, 1, 'unix'],
  [40, 2, 'tcp'],
] as const) {
  test.serial(
    `${rounds} copies of the modules leave nothing: ${pollers} pollers, ${transport}`,
    async (t) => {
      t.timeout(10 * 60_000)
      const where = placeOf(t, transport)
      const args = [String(rounds), String(pollers), ...('path' in where ? [where.path] : [])]
      const { code, stdout, stderr } = await runFixture(t, 'reloads', { args, flags: ['--expose-gc'] })
      t.is(stderr, '')
      t.is(code, 0)
      t.true(Number(stdout) < maxHeap, stdout)
    },
  )
}

for (const { pollers, transport } of everydayPlaces) {
  for (const workers of transport === 'tcp' && pollers === 0 ? ['0', '1', '3'] : ['0']) {
    const words = `${pollers} pollers, ${workers} workers, ${transport}`
    test.serial(`nothing is open for those who look when everything is closed: ${words}`, async (t) => {
      const where = placeOf(t, transport)
      const args = [String(pollers), workers, ...('path' in where ? [where.path] : [])]
      const outcome = await runFixture(t, 'open-handles', { args, flags: ['--expose-gc'] })
      t.deepEqual(outcome, { code: 0, signal: null, stdout: '[]\n', stderr: '' })
    })
  }

  test.serial(`what ends when it is idle is made again: ${pollers} pollers, ${transport}`, async (t) => {
    const before = descriptors()
    const options = { framing, pollers }
    const dialer = new Dialer(options)
    const once = async (): Promise<Buffer> => {
      const { answer } = await answered(t, transport, options, dialer)
      return answer
    }
    const first = await once()
    t.true(descriptors() > before)
    await descriptorsAre(before)
    // What was received stays what it is, and may be sent, as may what was written.
    t.is(first.toString(), 'hello')
    const writer = createWriter()
    writer.writeString('written before')
    const server = createServer(options, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const connection = await dialer.dial(targetOf(server))
    t.is((await connection.call(first)).toString(), 'hello')
    t.is((await connection.call([first, '!'])).toString(), 'hello!')
    const allocated = connection.allocate(4)
    allocated.write('kept')
    const unsent = connection.allocate(4)
    unsent.write('left')
    t.is((await connection.call(allocated)).toString(), 'kept')
    await connection.close()
    await server.close()
    t.deepEqual(dialer.stats(), { connections: 0, dialed: 2, failed: 0, calls: 4 })
    await descriptorsAre(before)
    t.is(stats().connections, 0)

    const again = createServer(options, (request) => request)
    t.teardown(() => again.close({ timeout: 0 }))
    await again.listen(placeOf(t, transport))
    const echoed = new Inbox<string>()
    const onRequest = (message: Buffer): void => echoed.push(message.toString())
    const last = await new Dialer({ ...options, onRequest }).dial(targetOf(again))
    t.is((await last.call(unsent)).toString(), 'left')
    last.writer.append(writer)
    await last.writer.flush()
    t.is(await echoed.take(), 'written before')
    await last.close()
    await again.close()
    await descriptorsAre(before)
  })

  test.serial(`nothing ends while something is open: ${pollers} pollers, ${transport}`, async (t) => {
    const before = descriptors()
    const server = createServer({ framing, pollers }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const connection = await new Dialer({ framing, pollers }).dial(targetOf(server))
    t.is((await connection.call('first')).toString(), 'first')
    const open = descriptors()
    // Another copy ends meanwhile, after the same time.
    await everyday(openRealm().netpoll, { pollers, where: placeOf(t, transport) })
    await descriptorsAre(open)
    t.is((await connection.call('second')).toString(), 'second')
    await connection.close()
    t.true(server.listening)
    await server.close()
    await descriptorsAre(before)
  })
}

/** An answer of a server, when both are closed. */
async function answered(
  t: ExecutionContext,
  transport: 'tcp' | 'unix',
  options: { readonly framing: typeof framing; readonly pollers: number },
  dialer: Dialer,
): Promise<{ readonly answer: Buffer }> {
  const server = createServer(options, (request) => request)
  await server.listen(placeOf(t, transport))
  const connection = await dialer.dial(targetOf(server))
  const answer = await connection.call('hello')
  await connection.close()
  await server.close()
  return { answer }
}
