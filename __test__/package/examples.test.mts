import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { get } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { createServer } from '../../dist/index.mjs'
import { type Example, portOfExample, startExample } from '../support/examples.mjs'
import { pattern } from '../support/frames.mjs'
import { connectPeer, portOf } from '../support/netpoll.mjs'
import { portForPrograms } from '../support/programs.mjs'
import { socketPath } from '../support/system.mjs'

test('examples: their types are right, as strictly as can be', (t) => {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  t.is(spawnSync(process.execPath, [tsc, '-p', join(root, 'examples')], { encoding: 'utf8' }).stdout, '')
})

/** Examples that show something and end: what they print. */
const shows: Readonly<Record<string, readonly string[]>> = {
  echo: ['hello'],
  counters: ['1: apples is 3', '2: pears is 5', '3: apples is 7'],
  'json-rpc': [
    '1 + 2 = 3',
    'divide DIVISION_BY_ZERO',
    'nothing ERR_RPC_UNKNOWN_METHOD',
    'slow ERR_REQUEST_TIMEOUT',
    'nobody waits for the slow one any more',
  ],
  mtls: [
    'hello CN=shop, says CN=example authority',
    'a client without a certificate is not served',
    'refused: ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
  ],
  thrift: ['waved at everybody', 'hello world, sent by me', 'true no name'],
  workers: ['4 primes below 10', '168 primes below 1000', '9592 primes below 100000'],
}

for (const [name, expected] of Object.entries(shows)) {
  test(`examples: ${name} shows what it can`, async (t) => {
    const { lines, ended } = startExample(t, name)
    t.deepEqual(await ended, { code: 0, stderr: '' })
    t.deepEqual([...lines.all].sort(), [...expected].sort())
  })
}

/** Ends an example that serves, in order. */
async function stop(t: ExecutionContext, example: Example): Promise<void> {
  example.process.kill('SIGTERM')
  t.deepEqual(await example.ended, { code: 0, stderr: '' })
}

test('examples: http answers', async (t) => {
  const example = startExample(t, 'http', '0')
  const port = await portOfExample(example)
  const [response] = await once(
    get({ host: '127.0.0.1', port, path: '/some/page', agent: false }),
    'response',
  )
  t.is(response.statusCode, 200)
  t.is(await text(response), 'you asked for /some/page\n')
  await stop(t, example)
})

test('examples: proxy forwards both directions, and their ends', async (t) => {
  const target = createServer({ allowHalfOpen: true }, ({ reader, writer }) => {
    writer.writeBinary(reader.next(reader.length))
    return writer.flush()
  })
  t.teardown(() => target.close({ timeout: 0 }))
  await target.listen({ host: '127.0.0.1', port: 0 })
  const example = startExample(t, 'proxy', '0', '127.0.0.1', String(portOf(target)))
  const port = await portOfExample(example)
  const bytes = pattern(3_000_000)
  const peer = await connectPeer(t, { port })
  const [, received] = await Promise.all([peer.write(bytes), peer.read(bytes.length)])
  t.true(received.equals(bytes))
  peer.destroy()
  await stop(t, example)
})

test('examples: proxy closes the connection of a client whose target is not there', async (t) => {
  const example = startExample(t, 'proxy', '0', '127.0.0.1', '1')
  const peer = await connectPeer(t, { port: await portOfExample(example) })
  t.deepEqual(await peer.readToEnd(), Buffer.alloc(0))
  example.process.kill('SIGTERM')
  const { code, stderr } = await example.ended
  t.is(code, 0)
  t.regex(stderr, /ECONNREFUSED/)
})

test('examples: chat tells everyone what anyone says, until the server ends', async (t) => {
  const path = socketPath(t, 'chat.sock')
  const server = startExample(t, 'chat', path)
  t.is(await server.lines.take(), `serving ${path}`)
  const ann = startExample(t, 'chat', path, 'Ann')
  t.is(await ann.lines.take(), 'Ann has come')
  const bob = startExample(t, 'chat', path, 'Bob')
  t.is(await bob.lines.take(), 'Bob has come')
  t.is(await ann.lines.take(), 'Bob has come')
  bob.process.stdin.write('hello\n')
  t.is(await ann.lines.take(), 'Bob: hello')
  t.is(await bob.lines.take(), 'Bob: hello')
  bob.process.stdin.end()
  t.deepEqual(await bob.ended, { code: 0, stderr: '' })
  await stop(t, server)
  t.deepEqual(await ann.ended, { code: 0, stderr: '' })
})

test('examples: redis answers commands that come in pieces, and closes on what is none', async (t) => {
  const example = startExample(t, 'redis', '0')
  const port = await portOfExample(example)
  const peer = await connectPeer(t, { port })
  const command = (...words: string[]) =>
    Buffer.from(
      `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`,
      'latin1',
    )
  const exchanges: readonly (readonly [Buffer, string])[] = [
    [command('PING'), '+PONG\r\n'],
    [command('SET', 'key', 'a\r\nb\xff'), '+OK\r\n'],
    [command('get', 'key'), '$5\r\na\r\nb\xff\r\n'],
    [command('GET', 'none'), '$-1\r\n'],
    [command('INCR', 'count'), ':1\r\n'],
    [command('EXISTS', 'key'), ':1\r\n'],
    [command('DEL', 'key'), ':1\r\n'],
    [command('constructor'), '-ERR unknown command\r\n'],
  ]
  const requests = Buffer.concat(exchanges.map(([request]) => request))
  const replies = Buffer.from(exchanges.map(([, reply]) => reply).join(''), 'latin1')
  for (let at = 0; at < requests.length; at += 1) await peer.write(requests.subarray(at, at + 1))
  t.deepEqual(await peer.read(replies.length), replies)
  await peer.write(requests)
  const again = Buffer.from(replies.toString('latin1').replace(':1', ':2'), 'latin1')
  t.deepEqual(await peer.read(again.length), again)
  for (const wrong of ['GET key\r\n', '*x\r\n', '*1\r\n$9999999999\r\n']) {
    const stranger = await connectPeer(t, { port })
    await stranger.write(wrong)
    t.deepEqual(await stranger.readToEnd(), Buffer.alloc(0), wrong)
  }
  example.process.kill('SIGTERM')
  t.is((await example.ended).code, 0)
})

const hasRedisTools = spawnSync('redis-benchmark', ['--version']).status === 0
if (!hasRedisTools) process.stderr.write('redis-benchmark missing: it does not drive examples/redis.mjs\n')
const redisTest = hasRedisTools ? test : test.skip

redisTest('examples: redis-benchmark and redis-cli drive redis', async (t) => {
  const example = startExample(t, 'redis', '0')
  const port = String(await portForPrograms(t, await portOfExample(example)))
  const cli = (...words: readonly string[]) => output(t, 'redis-cli', ['-p', port, ...words])
  t.is(await cli('set', 'name', 'some value'), 'OK\n')
  t.is(await cli('get', 'name'), 'some value\n')
  const load = ['-p', port, '-t', 'set,get', '-P', '16', '-n', '5000', '--csv']
  const report = await output(t, 'redis-benchmark', load)
  t.regex(report, /"SET","\d/)
  t.regex(report, /"GET","\d/)
  await stop(t, example)
})

async function output(t: ExecutionContext, command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => child.kill('SIGKILL'))
  return text(child.stdout)
}
