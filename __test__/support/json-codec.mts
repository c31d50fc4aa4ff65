import { type Framing, lengthField, type Writer } from '../../dist/index.mjs'
import { type Codec, type Message, RpcError } from '../../dist/rpc/index.mjs'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** A protocol as one would write it in an afternoon: four bytes of id, then the message as JSON. */
export class JsonCodec implements Codec<Json> {
  readonly framing: Framing = lengthField({ size: 4, maxLength: 100_000 })
  readonly id = { offset: 0, size: 4 } as const

  encode(message: Message<Json>, writer: Writer): void {
    const { id, ...rest } = message
    writer.writeUint(id, 4)
    writer.writeString(
      JSON.stringify(rest.kind === 'error' ? { ...rest, error: describe(rest.error) } : rest),
    )
  }

  decode(bytes: Buffer): Message<Json> {
    const message = { ...JSON.parse(bytes.toString('utf8', 4)), id: bytes.readUInt32BE(0) }
    if (message.kind !== 'error') return message as Message<Json>
    const { code, text } = message.error as { readonly code: string; readonly text: string }
    return { ...message, error: new RpcError(code, text) }
  }
}

/** The same without ids that anybody knows of: replies come in order. */
export class OrderedJsonCodec implements Codec<Json> {
  readonly #codec = new JsonCodec()
  readonly framing: Framing = this.#codec.framing

  encode(message: Message<Json>, writer: Writer): void {
    this.#codec.encode(message, writer)
  }

  decode(bytes: Buffer): Message<Json> {
    return this.#codec.decode(bytes)
  }
}

function describe(error: unknown): { readonly code: string; readonly text: string } {
  const text = error instanceof Error ? error.message : String(error)
  return { code: error instanceof RpcError ? error.code : 'ERR_RPC_INTERNAL', text }
}
