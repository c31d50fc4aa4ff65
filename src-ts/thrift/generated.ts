import { invalidType } from '../errors'
import type { ThriftInput } from './input'
import type { OutputOwner, ThriftOutput } from './output'

/**
 * A service as the compiler generates it with `--gen js:node,es6`: the module of that name.
 *
 * @typeParam Client what callers use
 */
export interface ThriftService<Client extends object = object> {
  /** The generated client. */
  readonly Client: new (
    output: never,
    protocol: never,
  ) => Client
  /** What the generated code makes calls of a handler by. */
  readonly Processor: new (
    handler: never,
  ) => object
}

/** The generated processor: reads a request, calls the handler, and writes what it gives. */
export interface GeneratedProcessor {
  process(input: ThriftInput, output: ThriftOutput | undefined): void
}

/** What the generated client calls back with a result, or with what went wrong. */
export type GeneratedCallback = (error: unknown, result?: unknown) => void

/** The generated client, as its transport uses it. */
export interface GeneratedClient {
  readonly _reqs: Record<number, GeneratedCallback | undefined>
  readonly [receive: `recv_${string}`]: (input: ThriftInput, type: number, id: number) => void
}

export type GeneratedClientClass = new (
  output: OutputOwner,
  protocol: new (owner: OutputOwner) => ThriftOutput,
) => GeneratedClient

/** Checks that a service is one. */
export function checkService(service: unknown): void {
  const { Client, Processor } = (service ?? {}) as Partial<ThriftService>
  if (typeof Client === 'function' && typeof Processor === 'function') return
  throw invalidType('service', 'a module that the compiler generated for a service', service)
}
