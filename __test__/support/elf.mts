import { readFileSync } from 'node:fs'

const dynamicSegment = 2
const flags1Tag = 0x6fff_fffbn

/** The `DT_FLAGS_1` of a 64-bit little-endian ELF file, as `readelf -d` shows them; 0 where it has none. */
export function dynamicFlags(path: string): number {
  const file = readFileSync(path)
  if (file.toString('latin1', 0, 4) !== '\x7fELF') throw new Error(`${path} is no ELF file`)
  const at = (offset: number): number => Number(file.readBigUInt64LE(offset))
  const [headers, size, count] = [at(32), file.readUInt16LE(54), file.readUInt16LE(56)]
  for (let index = 0; index < count; index += 1) {
    const header = headers + index * size
    if (file.readUInt32LE(header) !== dynamicSegment) continue
    const [start, length] = [at(header + 8), at(header + 32)]
    for (let entry = start; entry < start + length; entry += 16) {
      if (file.readBigUInt64LE(entry) === flags1Tag) return at(entry + 8)
    }
  }
  return 0
}
