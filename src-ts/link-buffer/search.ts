import { isUint8Array } from '../checks/bytes'
import { invalidType } from '../errors'
import { checkAttached, type Segment } from './segments'
import { checkInteger } from '../checks/arguments'

/** What users may give as a delimiter, as bytes. */
export function delimiterBytes(delimiter: number | string | Uint8Array): Uint8Array {
  if (typeof delimiter === 'number') {
    checkInteger('delimiter', delimiter, 0, 255)
    return Uint8Array.of(delimiter)
  }
  const bytes = typeof delimiter === 'string' ? Buffer.from(delimiter) : delimiter
  if (!isUint8Array(bytes) || bytes.length === 0) {
    throw invalidType('delimiter', 'a byte, or bytes or text that are not empty', delimiter)
  }
  return bytes
}

/**
 * Where `wanted` first stands at or after `from` in the bytes of `first` and the segments after it; −1 where it does
 * not. Within a segment the engine's own search runs; only what begins in one segment and ends in another is
 * compared byte by byte.
 */
export function find(first: Segment, wanted: Uint8Array, from: number): number {
  let base = 0
  for (let segment: Segment | undefined = first; segment !== undefined; segment = segment.next) {
    checkAttached(segment.chunk, segment.end)
    const length = segment.end - segment.start
    const begin = Math.max(0, from - base)
    if (begin < length) {
      const at = findWithin(segment, wanted, begin)
      if (at >= 0) return base + at
      for (let tail = Math.max(begin, length - wanted.length + 1); tail < length; tail += 1) {
        if (standsAt(segment, tail, wanted)) return base + tail
      }
    }
    base += length
  }
  return -1
}

function findWithin(segment: Segment, wanted: Uint8Array, begin: number): number {
  const bytes = segment.chunk.subarray(segment.start, segment.end)
  const at = wanted.length === 1 ? bytes.indexOf(wanted[0] as number, begin) : bytes.indexOf(wanted, begin)
  return at
}

function standsAt(segment: Segment, offset: number, wanted: Uint8Array): boolean {
  let current: Segment | undefined = segment
  let at = segment.start + offset
  for (const byte of wanted) {
    while (current !== undefined && at === current.end) {
      current = current.next
      at = current?.start ?? 0
    }
    if (current === undefined || current.chunk[at] !== byte) return false
    at += 1
  }
  return true
}
