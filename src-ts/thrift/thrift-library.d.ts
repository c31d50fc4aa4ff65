/** What is used of Apache Thrift's library for Node.js, which has no types of its own. */
declare module 'thrift' {
  interface ThriftError extends Error {
    type: number
  }

  interface ApplicationException extends ThriftError {
    read(input: object): void
  }

  export const Thrift: {
    readonly TApplicationException: new (type?: number, message?: string) => ApplicationException
    readonly TProtocolException: new (type: number, message: string) => ThriftError
  }

  export class Int64 {
    constructor(bytes: Buffer)
    constructor(value: string)
    readonly buffer: Buffer
    readonly offset: number
  }
}
