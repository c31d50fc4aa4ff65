import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import test, { type ExecutionContext } from 'ava'
import { AbstractConnector, Redis } from 'ioredis'

import { type ConnectionDuplex, Dialer } from '../../../dist/index.mjs'
import { pattern } from '../../support/frames.mjs'
import { socketPath } from '../../support/system.mjs'

/** Debian's `redis-server`, where it is installed. */
const isInstalled = spawnSync('redis-server', ['--version']).status === 0
const redisTest = isInstalled ? test : test.skip
if (!isInstalled)
  process.stderr.write('redis-server is not installed: ioredis over toDuplex() is not tested\n')

/** A Redis server of the test's own, at the path returned. */
async function startRedis(t: ExecutionContext): Promise<string> {
  const path = socketPath(t, 'redis.sock')
  const settings = ['--port', '0', '--unixsocket', path, '--save', '', '--appendonly', 'no']
  const server = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(async () => {
    server.kill('SIGKILL')
    await once(server, 'close')
  })
  for await (const line of createInterface(server.stdout)) {
    if (line.includes('eady to accept connections')) {
      server.stdout.resume()
      return path
    }
  }
  throw new Error('redis-server has not started')
}

/** The library, unchanged, over connections of ours. */
function createClient(
  t: ExecutionContext,
  path: string,
): { readonly redis: Redis; readonly streams: ConnectionDuplex[] } {
  const streams: ConnectionDuplex[] = []
  class DialingConnector extends AbstractConnector {
    constructor(options: { readonly disconnectTimeout: number }) {
      super(options.disconnectTimeout)
    }

    override async connect(): Promise<never> {
      this.connecting = true
      const duplex = (await new Dialer().dial({ path })).toDuplex()
      streams.push(duplex)
      this.stream = duplex as never
      return duplex as never
    }
  }
  const redis = new Redis({ Connector: DialingConnector as never, retryStrategy: () => 1 })
  t.teardown(() => redis.disconnect())
  return { redis, streams }
}

redisTest('ioredis sets, gets, pipelines and subscribes', async (t) => {
  const path = await startRedis(t)
  const { redis, streams } = createClient(t, path)
  const large = pattern(3_000_000, 1)
  t.is(await redis.set('large', large), 'OK')
  t.true((await redis.getBuffer('large'))?.equals(large))
  const pipeline = redis.pipeline()
  for (let index = 0; index < 10_000; index += 1) pipeline.incr('counter')
  const results = await pipeline.exec()
  t.deepEqual(results?.at(-1), [null, 10_000])
  const counts = await Promise.all(Array.from({ length: 1_000 }, () => redis.incr('counter')))
  t.is(counts.at(-1), 11_000)
  const { redis: subscriber } = createClient(t, path)
  await subscriber.subscribe('news')
  const message = once(subscriber, 'message')
  await redis.publish('news', 'hello')
  t.deepEqual(await message, ['news', 'hello'])
  t.is(streams.length, 1)
  t.is(await redis.quit(), 'OK')
})

redisTest('ioredis connects again when its stream is gone', async (t) => {
  const { redis, streams } = createClient(t, await startRedis(t))
  await redis.set('kept', 'yes')
  streams[0]?.destroy()
  t.is(await redis.get('kept'), 'yes')
  t.is(streams.length, 2)
})
