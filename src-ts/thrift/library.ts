/**
 * The only importer of the package `thrift`, an optional peer: the code that its compiler generates needs it, and what
 * goes wrong is reported by its exceptions.
 */
import { Int64, Thrift } from 'thrift'

export { Int64 }

/** An exception that travels, as generated clients know it. */
export const TApplicationException = Thrift.TApplicationException
export type TApplicationException = InstanceType<typeof Thrift.TApplicationException>

/** Bytes that are no Thrift. */
export const TProtocolException = Thrift.TProtocolException
