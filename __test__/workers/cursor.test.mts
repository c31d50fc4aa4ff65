import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { createServer, type WorkersOptions } from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { frame, frames, pattern } from '../support/frames.mjs'
import { placeOf } from '../support/listeners.mjs'
import { connectPeer, dial, framing, rejection, targetOf } from '../support/netpoll.mjs'
import { socketPath } from '../support/system.mjs'

const module = new URL('../fixtures/cursor-handler.mjs', import.meta.url)

async function serveBy(
  t: ExecutionContext,
  workers: Partial<WorkersOptions>,
  { transport = 'tcp', pollers = 0 }: { readonly transport?: 'tcp' | 'unix'; readonly pollers?: number } = {},
) {
  const errors = new Inbox<unknown>()
  const server = createServer({
    framing,
    pollers,
    onError: (error) => errors.push(error),
    workers: { module, concurrentTasksPerWorker: 8, ...workers },
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  return { server, errors, target: targetOf(server) }
}

function moduleOf(t: ExecutionContext, source: string): string {
  const path = join(dirname(socketPath(t)), 'handler.mjs')
  writeFileSync(path, source)
  return pathToFileURL(path).href
}

for (const threads of [1, 2, 3]) {
  for (const transport of ['tcp', 'unix'] as const) {
    for (const pollers of [0, 1, 2]) {
      const words = `${threads} workers, ${pollers} pollers, ${transport}`

      test(`a workers' module handles by cursor: ${words}`, async (t) => {
        const { target } = await serveBy(t, { threads }, { transport, pollers })
        const peer = await connectPeer(t, target)
        const messages = Array.from({ length: 60 }, (_, index) => {
          const kind = ['now ', 'lat ', 'giv ', 'wri '][index % 4] as string
          return Buffer.concat([Buffer.from(kind), pattern((index * 331) % 9000, index + 1)])
        })
        void peer.write(frames(...messages))
        const expected = frames(...messages)
        t.true((await peer.read(expected.length)).equals(expected))
      })

      test(`what its handler throws costs the connection: ${words}`, async (t) => {
        const { target, errors } = await serveBy(t, { threads }, { transport, pollers })
        for (const [kind, message, reply] of [
          ['thr x', 'thrown', 'now a'],
          ['lth x', 'thrown', 'now a'],
          ['fai x', 'failed', 'now a'],
        ] as const) {
          const peer = await connectPeer(t, target)
          await peer.write(frames('now a', kind))
          t.deepEqual(await peer.readToEnd(), frame(reply), kind)
          peer.end()
          t.is(((await errors.take()) as Error).message, message)
        }
        // Other connections are served as before, also where a reply was given before its handler threw.
        const peer = await connectPeer(t, target)
        await peer.write(frames('gth x', 'now b'))
        t.deepEqual(await peer.read(18), frames('gth x', 'now b'))
        t.is(((await errors.take()) as Error).message, 'thrown')
      })
    }
  }
}

test('beside a worker, a dialer of the same thread handles by cursor', async (t) => {
  const { target } = await serveBy(t, { threads: 1 })
  const connection = await dial(t, target, { onMessage: (reader) => reader.skip(0) })
  t.is((await connection.call('now hello')).toString(), 'now hello')
  t.is((await connection.call('who ')).toString(), 'who string')
})

test('a module that exports neither handler, or both, is refused', async (t) => {
  for (const [source, problem] of [
    ['export const onMessage = 1', /The export "onMessage" of .* is no function/],
    ['export async function onMessage() {}', /The export "onMessage" of .* is an async function/],
    ['export default () => {}; export function onMessage() {}', /exports a default function and "onMessage"/],
    ['export const other = 1', /The default export of .* is no function/],
  ] as const) {
    const server = createServer({ framing, workers: { module: moduleOf(t, source), threads: 1 } })
    t.regex(String(await rejection(server.listen({ host: '127.0.0.1', port: 0 }))), problem)
    await server.close()
  }
})

test('the handler of a CommonJS module is found', async (t) => {
  const source = 'module.exports.onMessage = (reader, writer) => void writer.writeFrom(reader)'
  const path = moduleOf(t, source).replace(/handler\.mjs$/, 'handler.cjs')
  writeFileSync(new URL(path), source)
  const { target } = await serveBy(t, { module: path, threads: 1 })
  const connection = await dial(t, target)
  t.is((await connection.call('hello')).toString(), 'hello')
})
