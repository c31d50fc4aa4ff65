import type { FramingRules } from './rules'

/** Whether header and trailer stand around `length` bytes from `start` in their chunk already. */
export function isFramed(
  framing: FramingRules,
  chunk: Buffer | undefined,
  start: number,
  length: number,
  before: number,
): boolean {
  if (chunk === undefined) return false
  if (!framing.hasHeader(chunk, start - before, length)) return false
  const trailer = framing.trailer
  const end = start + length
  for (let index = 0; index < trailer.length; index += 1) {
    if (chunk[end + index] !== trailer[index]) return false
  }
  return true
}
