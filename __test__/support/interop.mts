import type { ExecutionContext } from 'ava'

import type { ThriftCall, ThriftClient, ThriftClientOptions } from '../../dist/thrift/index.mjs'
import { rejection } from './netpoll.mjs'
import { fullValue, interopHandler, plain, serveThrift, thriftClient } from './thrift.mjs'
import { type InteropClient, TApplicationException, types } from './thrift-service.mjs'

const INTERNAL_ERROR = 6
const UNKNOWN_METHOD = 1

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

/** Has a generated client call a method under another name. */
function callAs(service: InteropClient, method: 'ping', name: string): Promise<void> {
  const { pClass: Output } = service as unknown as { pClass: new (owner: object) => Renamed }
  const renaming = Object.create(service, {
    pClass: {
      value: class extends Output {
        override writeMessageBegin(_name: string, type: number, id: number): void {
          super.writeMessageBegin(name, type, id)
        }
      },
    },
  }) as InteropClient
  return renaming[method]()
}

interface Renamed {
  writeMessageBegin(name: string, type: number, id: number): void
}
