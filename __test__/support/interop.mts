import type { ExecutionContext } from 'ava'

import { NetpollError } from '../../dist/index.mjs'
import type { ThriftCall, ThriftClient, ThriftClientOptions } from '../../dist/thrift/index.mjs'
import { Inbox, nextTurn } from './deferred.mjs'
import { codeOf, rejection } from './netpoll.mjs'
import { exceptionOf, fixtureProgram, type Program, startServer } from './programs.mjs'
import { fullValue, interopHandler, plain, serveThrift, thriftClient } from './thrift.mjs'
import { type InteropClient, TApplicationException, types } from './thrift-service.mjs'

/** Types of `TApplicationException`. */
const UNKNOWN_METHOD = 1
const INTERNAL_ERROR = 6
const PROTOCOL_ERROR = 7
/** Types of `TTransportException`. */
const UNKNOWN = 0
const END_OF_FILE = 4

/** Whether an error is what Thrift says of arguments that cannot be read. */
export const isProtocolError = (error: unknown): boolean =>
  error instanceof TApplicationException && error.type === PROTOCOL_ERROR

/** A server whose calls can be looked at afterwards. It tells a caller the trace that it got. */
export async function serveForeign(
  t: ExecutionContext,
): Promise<{ readonly port: number; readonly calls: ThriftCall[] }> {
  const calls: ThriftCall[] = []
  const handler = interopHandler()
  const { port } = await serveThrift(
    t,
    (call) => {
      calls.push(call)
      call.replyMetadata = { seen: call.metadata['trace'] ?? '' }
      return handler
    },
    { onError: (error) => t.fail(String(error)) },
  )
  return { port, calls }
}

/** That a client which was not written here is told when our server dies in the middle of a call. */
export async function checkToldOfDeath(
  t: ExecutionContext,
  client: Program,
  flags: readonly string[],
): Promise<void> {
  const killed = await startServer(t, fixtureProgram('killed-thrift-server'), [])
  t.is(await exceptionOf(t, client, killed.port, 'wait', flags), `TTransportException ${END_OF_FILE}`)
  const resetting = await serveThrift(t, ({ connection }) => ({ wait: () => connection.resetAndDestroy() }))
  t.is(await exceptionOf(t, client, resetting.port, 'wait', flags), `TTransportException ${UNKNOWN}`)
}

/** What a client which was not written here gets for malformed arguments, and for a frame that is too long. */
export async function checkToldOfMistakes(
  t: ExecutionContext,
  client: Program,
  flags: readonly string[],
): Promise<void> {
  const errors = new Inbox<unknown>()
  const { port, server } = await serveThrift(t, undefined, { maxLength: 10_000, onError: errors.push })
  t.is(await exceptionOf(t, client, port, 'malformed', flags), `TApplicationException ${PROTOCOL_ERROR}`)
  // Where the system tells first of the reset and where of the end is a race in the client's system calls.
  t.regex(await exceptionOf(t, client, port, 'long', flags), /^TTransportException [04]$/)
  t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
  while (server.stats().connections > 0) await nextTurn()
}

/** Calls a server that is killed by a call, while others wait on the same connection and elsewhere. */
export async function checkDeath(
  t: ExecutionContext,
  port: number,
  options: ThriftClientOptions,
): Promise<void> {
  const { service } = thriftClient(t, port, options)
  await service.ping()
  const calls = [service.wait(-1), service.ping(), service.ping()]
  for (const error of await Promise.all(calls.map(rejection))) {
    t.true(error instanceof NetpollError)
    t.regex(String(codeOf(error)), /^(ERR_CONN_CLOSED|ECONNRESET|ECONNREFUSED)$/)
  }
  t.is(codeOf(await rejection(service.ping())), 'ECONNREFUSED')
}

/** Calls a server that was not written here in every way. */
export async function checkServer(
  t: ExecutionContext,
  port: number,
  options: ThriftClientOptions,
): Promise<ThriftClient<InteropClient>> {
  const client = thriftClient(t, port, options)
  const { service } = client
  const value = fullValue()
  const echo = await service.echo(value)
  // A set has no order.
  echo.names?.sort()
  t.deepEqual(plain(echo), plain(value))
  t.is(await service.ping(), undefined)
  const refused = await rejection(service.refuse(7, 'no'))
  t.true(refused instanceof types.Refused)
  t.like(refused, { code: 7, why: 'no' })
  const crashed = await rejection(service.crash('oops'))
  t.true(crashed instanceof TApplicationException)
  t.is((crashed as { type: number }).type, INTERNAL_ERROR)
  await service.tell('the news')
  await service.ping()
  t.deepEqual(await service.told(), ['the news'])
  t.deepEqual(await service.blob(100_000), Buffer.alloc(100_000, 'b'))
  const waits = Array.from({ length: 30 }, (_, index) => index % 7)
  t.deepEqual(await Promise.all(waits.map((wait) => service.wait(wait))), waits.map(String))
  return client
}

/** That a method which the server does not have is an exception, and no more. */
export async function checkUnknownMethod(
  t: ExecutionContext,
  { service }: ThriftClient<InteropClient>,
): Promise<void> {
  // What the generated client calls the method is all that the server knows of it.
  const unknown = await rejection(callAs(service, 'ping', 'missing'))
  t.true(unknown instanceof TApplicationException)
  t.is((unknown as { type: number }).type, UNKNOWN_METHOD)
  await service.ping()
}

/** Has a server refuse arguments and send a reply that is too long; `refusal` is whether an error is as it should be. */
export async function checkMistakes(
  t: ExecutionContext,
  port: number,
  options: ThriftClientOptions,
  refusal: (error: unknown) => boolean,
): Promise<void> {
  const { service } = thriftClient(t, port, { ...options, maxLength: 10_000, onError: () => {} })
  t.is(codeOf(await rejection(service.blob(10_001))), 'ERR_FRAME_TOO_LARGE')
  const malformed = writingBy(
    service,
    (Output) =>
      class extends Output {
        // As the length of a text it is negative, in both protocols.
        override writeString(): void {
          this.writeI32(-(2 ** 31))
        }
      },
  )
  t.true(refusal(await rejection(malformed.crash('x'))))
  await thriftClient(t, port, options).service.ping()
}

/** That a server refuses a frame that is too long for it. */
export async function checkLongFrame(
  t: ExecutionContext,
  port: number,
  options: ThriftClientOptions,
): Promise<void> {
  const { service } = thriftClient(t, port, { ...options, onError: () => {} })
  const error = await rejection(service.crash('x'.repeat(1_000_001)))
  t.regex(String(codeOf(error)), /^(ERR_CONN_CLOSED|ECONNRESET|EPIPE)$/)
  await thriftClient(t, port, options).service.ping()
}

/** Has a generated client call a method under another name. */
function callAs(service: InteropClient, method: 'ping', name: string): Promise<void> {
  const renaming = writingBy(
    service,
    (Output) =>
      class extends Output {
        override writeMessageBegin(_name: string, type: number, id: number): void {
          super.writeMessageBegin(name, type, id)
        }
      },
  )
  return renaming[method]()
}

/** A generated client that writes by another class than it was given. */
function writingBy(service: InteropClient, extend: (Output: OutputClass) => OutputClass): InteropClient {
  const { pClass } = service as unknown as { pClass: OutputClass }
  return Object.create(service, { pClass: { value: extend(pClass) } })
}

interface Output {
  writeMessageBegin(name: string, type: number, id: number): void
  writeI32(value: number): void
  writeString(text: string): void
}

type OutputClass = new (owner: object) => Output
