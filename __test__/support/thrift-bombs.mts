import { deflateSync } from 'node:zlib'

import type { Protocol } from '../../dist/thrift/protocol.js'
import { binary } from '../../dist/thrift/binary.js'
import { frame } from './frames.mjs'

/** A message: its head, and a struct. */
export function thriftMessage(
  name: string,
  { type = 1, id = 1, body = Buffer.from([0]), protocol = binary }: ThriftMessageParts = {},
): Buffer {
  const head = Buffer.alloc(protocol.headLength(name, id))
  protocol.writeHead(head, 0, name, type, id)
  return Buffer.concat([head, body])
}

export interface ThriftMessageParts {
  readonly type?: number
  readonly id?: number
  readonly body?: Uint8Array
  readonly protocol?: Protocol
}

/** A frame of THeader around a message to which zlib was applied so many times. */
export function compressedFrame(
  message: Uint8Array,
  { sequence = 1, times = 1, protocol = binary } = {},
): Buffer {
  const transforms = [times, ...Array.from({ length: times }, () => 1)]
  const header = [protocol.id, ...transforms]
  while (header.length % 4 !== 0) header.push(0)
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(0x0fff, 0)
  fixed.writeInt32BE(sequence, 4)
  fixed.writeUInt16BE(header.length / 4, 8)
  let payload = message
  for (let time = 0; time < times; time += 1) payload = deflateSync(payload)
  return frame(Buffer.concat([fixed, Uint8Array.from(header), payload]))
}

/** A call of `ping` with so many zeros behind it. */
export function pingWithZeros(zeros: number): Buffer {
  return Buffer.concat([thriftMessage('ping'), Buffer.alloc(zeros)])
}
