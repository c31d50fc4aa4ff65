// What the targets that run in Node.js share. Inputs come from stdin, as a length of four bytes and as many bytes; a line answers
// each of them. Choices are taken from an input as `choices.rs` takes them.

/** Choices that the bytes of an input make. Where they are used up, each is the first. */
export class Choices {
  #bytes
  #at = 0

  constructor(bytes) {
    this.#bytes = bytes
  }

  get areUsedUp() {
    return this.#at >= this.#bytes.length
  }

  below(bound) {
    const byte = this.#bytes[this.#at] ?? 0
    this.#at += 1
    return byte % bound
  }

  of(values) {
    return values[this.below(values.length)]
  }

  /** The next bytes, or as many as there are. */
  bytes(length) {
    const at = this.#at
    this.#at += length
    return this.#bytes.subarray(at, at + length)
  }

  rest() {
    return this.bytes(this.#bytes.length)
  }
}

async function* inputs() {
  let rest = Buffer.alloc(0)
  for await (const chunk of process.stdin) {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
      const end = 4 + rest.readUInt32BE()
      yield rest.subarray(4, end)
      rest = rest.subarray(end)
    }
  }
}

/** Which only an input that hangs reaches. */
const patience = 30_000

/**
 * Runs one input after the other, and ends the process.
 *
 * @param run resolves to whether the input has reached something new
 */
export async function serve(run) {
  process.on('uncaughtException', (error) => {
    process.stdout.write(`${String(error?.stack ?? error).replaceAll('\n', ' ')}\n`, () => process.exit(1))
  })
  for await (const input of inputs()) {
    const hangs = setTimeout(() => {
      throw new Error('it never ends')
    }, patience)
    const hasReachedMore = await run(input)
    clearTimeout(hangs)
    process.stdout.write(hasReachedMore ? 'more\n' : 'done\n')
  }
  process.exit()
}
