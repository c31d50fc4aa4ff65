const { imul } = Math

/** A hash of a text: 32 bits, the same in every process (FNV-1a, mixed). */
export function hashOf(text: string): number {
  let hash = 0x811c_9dc5
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    hash = imul(hash ^ (unit & 0xff), 0x0100_0193)
    hash = imul(hash ^ (unit >>> 8), 0x0100_0193)
  }
  return mix(hash)
}

/** Both hashes in one, so that each bit of either changes about half of the result (MurmurHash3's end). */
export function joined(one: number, other: number): number {
  return mix(imul(one, 0x9e37_79b1) ^ other)
}

function mix(value: number): number {
  let hash = value ^ (value >>> 16)
  hash = imul(hash, 0x85eb_ca6b)
  hash ^= hash >>> 13
  hash = imul(hash, 0xc2b2_ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
