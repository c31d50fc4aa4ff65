import * as clock from '../time/clock'
import { interleaveFamilies } from './happy-eyeballs'
import type { Route } from './routes'

/** Milliseconds in which an address that did not answer is tried after the others. */
const distrust = 10_000

/** One dial, from the choice of its first address on. One of the functions is called, once. */
export interface SpreadDial {
  /** In the order in which they are tried. */
  readonly routes: readonly Route[]
  /** It has connected by one of them. */
  won(connection: object, route: Route): void
  /** None of them has answered. */
  failed(): void
  /** It was called off. */
  abandoned(): void
}

/**
 * Spreads the connections of a pool or mux over the addresses of a name: each dial begins with the address that has the
 * fewest. The other family of addresses stays what is tried where the first does not answer.
 */
export class Spread {
  /** Connections and dials of each address that has any. */
  readonly #counts = new Map<string, number>()
  /** One entry for each connection. */
  readonly #addresses = new Map<object, string>()
  /** When addresses of the last lookup were tried in vain. */
  #failures = new Map<string, number>()

  /** A dial by one of `found`, which is not empty and in the order of its lookup. */
  begin(found: readonly Route[]): SpreadDial {
    this.#forgetFailures(found)
    const family = found[0]?.family
    const ranked = [
      ...this.#ranked(found.filter((route) => route.family === family)),
      ...this.#ranked(found.filter((route) => route.family !== family)),
    ]
    const first = addressOf(ranked[0])
    this.#add(first, 1)
    return {
      routes: interleaveFamilies(ranked),
      won: (connection, route) => {
        const address = addressOf(route)
        this.#add(first, -1)
        this.#add(address, 1)
        this.#addresses.set(connection, address)
        if (address === first) this.#failures.delete(first)
        else this.#failures.set(first, clock.now())
      },
      failed: () => {
        this.#add(first, -1)
        this.#failures.set(first, clock.now())
      },
      abandoned: () => this.#add(first, -1),
    }
  }

  /** A connection counts no more: it is gone, or gets no more calls. */
  release(connection: object): void {
    const address = this.#addresses.get(connection)
    if (address === undefined) return
    this.#addresses.delete(connection)
    this.#add(address, -1)
  }

  /** A connection ended before it was of use: its address is tried after the others for a while. */
  distrust(connection: object): void {
    const address = this.#addresses.get(connection)
    if (address !== undefined) this.#failures.set(address, clock.now())
  }

  #add(address: string, change: 1 | -1): void {
    const count = (this.#counts.get(address) ?? 0) + change
    if (count > 0) this.#counts.set(address, count)
    else this.#counts.delete(address)
  }

  /** What a lookup no longer names is not kept. */
  #forgetFailures(found: readonly Route[]): void {
    const last = this.#failures
    if (last.size === 0) return
    const now = clock.now()
    this.#failures = new Map()
    for (const route of found) {
      const address = addressOf(route)
      const failed = last.get(address)
      if (failed !== undefined && now - failed < distrust) this.#failures.set(address, failed)
    }
  }

  /**
   * First the one with the fewest connections; among equals the lookup decides. Behind it the others take turns among
   * equals, or the dials that an address refuses would all go to the same one.
   */
  #ranked(routes: readonly Route[]): readonly Route[] {
    const [first, ...others] = this.#sorted(routes, 0)
    if (first === undefined) return []
    return [first, ...this.#sorted(others, this.#counts.get(addressOf(first)) ?? 0)]
  }

  /** By trust, then by connections; among equals in their order, from that at `shift` on. */
  #sorted(routes: readonly Route[], shift: number): readonly Route[] {
    const start = shift % Math.max(1, routes.length)
    const turned = [...routes.slice(start), ...routes.slice(0, start)]
    const failed = (route: Route): number => (this.#failures.has(addressOf(route)) ? 1 : 0)
    const count = (route: Route): number => this.#counts.get(addressOf(route)) ?? 0
    return turned.sort((one, other) => failed(one) - failed(other) || count(one) - count(other))
  }
}

function addressOf(route: Route | undefined): string {
  return route?.remote.address ?? ''
}
