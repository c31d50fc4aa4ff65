/** What the core tells of what it has refused, record by record: how a frame begins, or a name. */
export class Excerpt {
  #announced: bigint | undefined
  readonly #bytes: number[] = []

  /** The length that was announced, in two words. */
  announce(low: number, high: number): void {
    this.#announced = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
  }

  /** `count` of the first bytes, in two words. */
  append(count: number, low: number, high: number): void {
    for (let index = 0; index < count; index += 1) {
      this.#bytes.push(((index < 4 ? low : high) >>> (8 * (index % 4))) & 0xff)
    }
  }

  /** How long it would be, and how long it may be. */
  lengths(maxLength: number): string {
    return this.#announced === undefined ? `${maxLength} bytes` : `${this.#announced} of ${maxLength} bytes`
  }

  /** Whether it is longer than what is told of it. */
  get isCut(): boolean {
    return this.#announced !== undefined && this.#announced > this.#bytes.length
  }

  /** Its first bytes, such that no log suffers from them. */
  text(): string {
    return `"${this.#bytes.map(escaped).join('')}"`
  }
}

const names: ReadonlyMap<number, string> = new Map([
  [9, '\\t'],
  [10, '\\n'],
  [13, '\\r'],
  [34, '\\"'],
  [92, '\\\\'],
])

function escaped(byte: number): string {
  const name = names.get(byte)
  if (name !== undefined) return name
  return byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
}
