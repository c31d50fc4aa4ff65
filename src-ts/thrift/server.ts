import { optionNames, takeOptions } from '../checks/known-options'
import { type TransportHandler, TransportServer, type TransportServerOptions } from '../rpc/index'
import { type AnsweringHandler, answersBy, transportServerNames } from '../rpc/extension'
import { AnyCodec } from './any-codec'
import { checkService, type ThriftService } from './generated'
import type { ThriftInput } from './input'
import { checkLimits, limitNames, serverMaxLength, type ThriftLimits } from './limits'
import { type HandlerSource, ThriftServiceHandler } from './service'
import { checkObject } from '../checks/arguments'

/** Options of {@link createThriftServer}: those of a `TransportServer`, with the hooks of its handler. */
export interface ThriftServerOptions
  extends TransportServerOptions<Uint8Array, ThriftInput>,
    Omit<TransportHandler<Uint8Array, ThriftInput>, 'onRequest'>,
    ThriftLimits {
  /**
   * Whether replies leave in the order of their requests. Default false: each reply has the id of its request, as clients
   * expect that send several requests at once.
   */
  readonly ordered?: boolean | undefined
}

const thriftServerNames = optionNames<ThriftServerOptions>({
  ...transportServerNames,
  ...limitNames,
  onConnect: true,
  onDisconnect: true,
  onError: true,
})

type Answering = TransportHandler<Uint8Array, ThriftInput> & AnsweringHandler<Uint8Array, ThriftInput>

/** A server of one Thrift service. */
export type ThriftServer = TransportServer<Uint8Array, ThriftInput>

/**
 * Makes a server of a service that Apache Thrift's compiler has generated (`--gen js:node,es6`). It answers each request
 * in the format in which it came: framed, THeader, or TTHeader, with the binary or the compact protocol.
 *
 * @param handler the service's methods, or a function that gets a call (deadline, signal, metadata) and returns them. A
 * method returns a result or a promise, and throws the exceptions that the service declares.
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 *
 * @example
 * ```ts
 * import { createThriftServer } from 'netpoll/thrift'
 * import Echo from './gen-nodejs/Echo.js'
 * import { type Request, Response } from './gen-nodejs/echo_types.js'
 *
 * const server = createThriftServer(Echo, { echo: ({ message }: Request) => new Response({ message }) })
 * await server.listen({ host: '127.0.0.1', port: 9090 })
 * console.log(server.stats().requests) // 0
 * ```
 */
export function createThriftServer<Handler extends object>(
  service: ThriftService,
  handler: HandlerSource<Handler>,
  options: ThriftServerOptions = {},
): ThriftServer {
  const taken = takeOptions('options', options, thriftServerNames)
  checkService(service)
  if (typeof handler !== 'function') checkObject('handler', handler)
  const calls = new ThriftServiceHandler(service, handler)
  const { maxLength, maxElements, maxInflatedLength, maxInflationRatio, ...others } = taken
  const { onConnect, onDisconnect, onError, ...ofTransport } = others
  const answering: Answering = {
    ...others,
    onRequest: (call) => calls.onRequest(call),
    [answersBy]: (call, answer) => calls.answer(call, answer),
  }
  return new TransportServer(new AnyCodec(checkLimits(taken, serverMaxLength)), answering, {
    ...ofTransport,
    ordered: ofTransport.ordered ?? false,
  })
}
