import { isError } from '../checks/kinds'
import { RpcError } from '../rpc/index'
import type { ThriftInput } from './input'
import { TApplicationException, TProtocolException } from './library'
import type { OutputProtocol } from './output'
import { ApplicationError, MessageType, Type } from './wire'

/** What a peer is told of an error that its service does not declare. */
export function toApplicationException(error: unknown): TApplicationException {
  if (error instanceof TApplicationException) return error
  const message = isError(error) ? error.message : String(error)
  return new TApplicationException(typeOf(error), message)
}

function typeOf(error: unknown): number {
  if (error instanceof TProtocolException) return ApplicationError.ProtocolError
  if (error instanceof RpcError && error.code === 'ERR_RPC_UNKNOWN_METHOD')
    return ApplicationError.UnknownMethod
  return ApplicationError.InternalError
}

/** Reads an exception whose message's head was read. */
export function readException(input: ThriftInput): TApplicationException {
  const exception = new TApplicationException()
  exception.read(input)
  return exception
}

/** The bytes of an exception, without its message's head. The library's own writing of it forgets the type. */
export function exceptionBytes({ type, message }: TApplicationException, protocol: OutputProtocol): Buffer {
  const output = new protocol.Output()
  output.writeMessageBegin('', MessageType.Exception, 0)
  output.writeStructBegin('TApplicationException')
  output.writeFieldBegin('message', Type.String, 1)
  output.writeString(message)
  output.writeFieldEnd()
  output.writeFieldBegin('type', Type.I32, 2)
  output.writeI32(type)
  output.writeFieldEnd()
  output.writeFieldStop()
  output.writeStructEnd()
  return output.take()
}
