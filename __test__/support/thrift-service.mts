import { createRequire } from 'node:module'

import type { ThriftService } from '../../dist/thrift/index.mjs'

const require = createRequire(import.meta.url)

/** An `Int64` of the package `node-int64`. */
export interface Int64 {
  readonly buffer: Buffer
  valueOf(): number
  toOctetString(): string
}

export interface Leaf {
  name: string | null
  weight: number | null
}

export interface Choice {
  number: number | null
  text: string | null
}

/** A struct with a field of every kind, as it is read. */
export interface Everything {
  yes: boolean | null
  no: boolean | null
  tiny: number | null
  small: number | null
  middle: number | null
  large: Int64 | number | bigint | null
  real: number | null
  text: string | null
  bytes: Buffer | null
  numbers: number[] | null
  names: string[] | null
  leaves: Record<string, Leaf> | null
  leaf: Leaf | null
  colour: number | null
  choice: Choice | null
  flags: boolean[] | null
  grid: (Int64 | number)[][] | null
  far: string | null
  marks: Record<string, boolean> | null
}

/** What generated structs can do. */
export interface Struct {
  read(input: object): void
  write(output: object): void
}

type StructClass<Fields> = new (fields?: Partial<Fields>) => Fields & Struct

export interface InteropTypes {
  readonly Everything: StructClass<Everything>
  readonly Leaf: StructClass<Leaf>
  readonly Choice: StructClass<Choice>
  readonly Refused: new (fields?: { code?: number; why?: string }) => Error & { code: number; why: string }
}

/** The generated client of the service `Interop`. */
export interface InteropClient {
  echo(value: Partial<Everything>): Promise<Everything>
  refuse(code: number, why: string): Promise<string>
  crash(text: string): Promise<string>
  wait(milliseconds: number): Promise<string>
  blob(size: number): Promise<Buffer>
  tell(news: string): Promise<void>
  told(): Promise<string[]>
  ping(): Promise<void>
}

/** Its methods as a handler has them. */
export interface InteropHandler {
  echo(value: Everything): unknown
  refuse(code: number, why: string): unknown
  crash(text: string): unknown
  wait(milliseconds: number): unknown
  blob(size: number): unknown
  tell(news: string): unknown
  told(): unknown
  ping(): unknown
}

const generated = '../../__test__/interop/gen-nodejs/'

export const Interop = require(`${generated}Interop.js`) as ThriftService<InteropClient>
export const types = require(`${generated}interop_types.js`) as InteropTypes

interface ThriftTransport {
  flush(): void
}

interface ThriftLibrary {
  readonly Int64: new (value: number | string | Buffer) => Int64
  readonly TFramedTransport: new (bytes?: Buffer, onFlush?: (bytes: Buffer) => void) => ThriftTransport
  readonly TBinaryProtocol: new (transport: ThriftTransport) => object
  readonly TCompactProtocol: new (transport: ThriftTransport) => object
  readonly Thrift: {
    readonly TApplicationException: new (type?: number, message?: string) => Error & { readonly type: number }
    readonly TProtocolException: new (type: number, message: string) => Error & { readonly type: number }
  }
  createConnection(host: string, port: number, options: object): LibraryConnection
  createClient<Client>(service: object, connection: LibraryConnection): Client
  createServer(service: object, handler: object, options: object): import('node:net').Server
}

export interface LibraryConnection {
  end(): void
  destroy(): void
  on(event: string, listener: (error: Error) => void): this
}

/** Apache Thrift's own library for Node.js. */
export const thrift = require('thrift') as ThriftLibrary

export const { TApplicationException, TProtocolException } = thrift.Thrift
