/** Bytes of the low 32 bits of `value` as a varint. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) length += 1
  return length
}

/** Writes the low 32 bits of `value` as a varint; returns where it ends. */
export function putVarint(target: Buffer, at: number, value: number): number {
  let rest = value >>> 0
  let place = at
  for (; rest > 0x7f; rest >>>= 7) {
    target[place] = (rest & 0x7f) | 0x80
    place += 1
  }
  target[place] = rest
  return place + 1
}
