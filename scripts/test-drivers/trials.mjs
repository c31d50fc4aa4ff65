// What each driver is put through, and what came of it in a line of text, so that two transports can be compared.

import { createHash, randomBytes } from 'node:crypto'

/** Milliseconds until something that has not ended hangs. */
export const limit = 10_000

export const trialNames = ['basic', 'megabyte', 'fifty', 'graceful', 'killed']

/** How a promise ends: `done`, or by which error, or not at all. */
export async function endOf(promise) {
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, limit, 'hangs')
  })
  const end = Promise.resolve(promise).then(() => 'done', nameOf)
  const first = await Promise.race([end, late])
  clearTimeout(timer)
  return first
}

/** What programs tell errors apart by. */
export function nameOf(error) {
  const code = error?.code ?? error?.cause?.code
  return String(code ?? error?.message ?? error)
}

/** Resolves with the first of these events of an emitter, by name. */
export function firstOf(emitter, ...names) {
  return new Promise((resolve) => {
    for (const name of names) emitter.once(name, () => resolve(name))
  })
}

const digest = (bytes) => createHash('sha256').update(bytes).digest('hex')

/**
 * The trials of one driver, by name. Of `driver`:
 * `open()` gives a client that is ready;
 * `work(client)` does what it usually does, and gives something to compare;
 * `echo(client, bytes)` moves bytes there and back;
 * `begin(client)` begins something long, and resolves, once that is under way, with `{ ended }`, a promise of its end;
 * `close(client)` ends in good order; `gone(client)` resolves once the client knows that its connection is gone;
 * `kill()` kills the server, or for a server its client.
 * `clients` is how many there are at once, 50 unless said otherwise, and `tellsOwnEnd` whether `gone` knows of `close`, too.
 */
export function trialsOf(driver) {
  const { open, work, echo, begin, close, gone, kill, clients = 50, tellsOwnEnd = true } = driver
  const used = async (use) => {
    const client = await open()
    const result = await use(client)
    await close(client)
    return result
  }
  return {
    basic: async () => `done: ${JSON.stringify(await used(work))}`,
    async megabyte() {
      const bytes = randomBytes(2 ** 20)
      const back = await used((client) => echo(client, bytes))
      return digest(back) === digest(bytes) ? 'done' : `other bytes, ${back.length} of ${bytes.length}`
    },
    async fifty() {
      const works = (client) => Promise.all(Array.from({ length: 50 / clients }, () => work(client)))
      const results = await Promise.all(Array.from({ length: clients }, () => used(works)))
      const kinds = new Set(results.flat().map((result) => JSON.stringify(result)))
      return `done: ${results.flat().length} of ${kinds.size} kind`
    },
    async graceful() {
      const client = await open()
      const noticed = tellsOwnEnd ? gone?.(client) : undefined
      await work(client)
      await close(client)
      return `done${noticed === undefined ? '' : `, noticed: ${await endOf(noticed)}`}`
    },
    async killed() {
      const client = await open()
      const noticed = gone?.(client)
      const { ended } = await begin(client)
      const end = endOf(ended)
      kill()
      const told = noticed === undefined ? '' : `, noticed: ${await endOf(noticed)}`
      return `ended: ${await end}${told}`
    },
  }
}
