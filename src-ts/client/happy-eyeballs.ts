/**
 * Which of several addresses is connected to: Happy Eyeballs version 2 (RFC 8305), without sockets and
 * clocks. Asking for both families at once, which the RFC describes as well, is up to the lookup.
 */

/**
 * Orders addresses so that the families take turns, beginning with that of the first. Within a family the
 * order stays.
 */
export function interleaveFamilies<Address extends { readonly family: 4 | 6 | undefined }>(
  addresses: readonly Address[],
): Address[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family)
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family)
  const ordered: Address[] = []
  for (let index = 0; index < Math.max(first.length, second.length); index += 1) {
    ordered.push(...first.slice(index, index + 1), ...second.slice(index, index + 1))
  }
  return ordered
}

/** An attempt that has begun and has not told its outcome yet. */
export interface Attempt {
  /** Ends it. It is over once it has told that it failed. */
  abandon(): void
}

/** Is told once how an attempt went, and not before the attempt has begun. */
export interface AttemptOutcome<Connected> {
  connected(connected: Connected): void
  failed(error: unknown): void
}

/** Calls back after so many milliseconds, unless the function that it returns is called before. */
export type StartTimer = (milliseconds: number, callback: () => void) => () => void

/** Why no attempt has won. */
export type Loss =
  | { readonly kind: 'abandoned'; readonly reason: unknown }
  /** Every attempt has failed: one error for each address, in their order. */
  | { readonly kind: 'exhausted'; readonly errors: readonly unknown[] }

/** What a race is about, and the functions that hear of its end: one of `won` and `lost`, once. */
export interface RaceRules<Address, Connected> {
  /** At least one, in the order in which they are tried. */
  readonly addresses: readonly Address[]
  /** Milliseconds after which the next address is tried beside those that have not answered. */
  readonly attemptDelay: number
  readonly startTimer: StartTimer
  /** Begins to connect. What it throws is the attempt's failure. */
  readonly begin: (address: Address, outcome: AttemptOutcome<Connected>) => Attempt
  /** The first attempt has connected; the others were told to end. */
  readonly won: (connected: Connected) => void
  /** No attempt has connected, and none is left. */
  readonly lost: (loss: Loss) => void
}

type State =
  | { readonly kind: 'racing' }
  | { readonly kind: 'abandoned'; readonly reason: unknown }
  | { readonly kind: 'over' }

/** One dial's attempts, of which the first to connect wins. */
export class Race<Address, Connected> {
  readonly #rules: RaceRules<Address, Connected>
  readonly #running = new Map<number, Attempt>()
  readonly #errors: unknown[] = []
  #state: State = { kind: 'racing' }
  #begun = 0
  #stopTimer: (() => void) | undefined

  constructor(rules: RaceRules<Address, Connected>) {
    this.#rules = rules
  }

  /** Begins the first attempt. */
  start(): void {
    this.#beginNext()
  }

  /** Ends all attempts. The race is lost as soon as they are over. */
  abandon(reason: unknown): void {
    if (this.#state.kind !== 'racing') return
    this.#state = { kind: 'abandoned', reason }
    this.#endAttempts()
  }

  /** Begins with the next address that does not fail at once. */
  #beginNext(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    const { addresses, attemptDelay, startTimer } = this.#rules
    while (this.#begun < addresses.length) {
      if (!this.#begin(addresses[this.#begun] as Address)) continue
      if (this.#begun < addresses.length) {
        this.#stopTimer = startTimer(attemptDelay, () => this.#beginNext())
      }
      return
    }
    this.#loseIfNoneRuns()
  }

  #begin(address: Address): boolean {
    const index = this.#begun
    this.#begun += 1
    try {
      const attempt = this.#rules.begin(address, {
        connected: (connected) => this.#connected(index, connected),
        failed: (error) => this.#failed(index, error),
      })
      this.#running.set(index, attempt)
      return true
    } catch (error) {
      this.#errors[index] = error
      return false
    }
  }

  #connected(index: number, connected: Connected): void {
    if (this.#state.kind !== 'racing') return
    this.#state = { kind: 'over' }
    this.#running.delete(index)
    this.#endAttempts()
    this.#rules.won(connected)
  }

  #failed(index: number, error: unknown): void {
    this.#running.delete(index)
    this.#errors[index] = error
    const wasLast = index === this.#begun - 1
    // An earlier one that fails does not hurry the next: the last has its full delay.
    if (this.#state.kind === 'racing' && wasLast) this.#beginNext()
    else this.#loseIfNoneRuns()
  }

  #endAttempts(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    for (const attempt of this.#running.values()) attempt.abandon()
  }

  #loseIfNoneRuns(): void {
    const state = this.#state
    if (state.kind === 'over' || this.#running.size > 0) return
    this.#state = { kind: 'over' }
    if (state.kind === 'abandoned') this.#rules.lost(state)
    else this.#rules.lost({ kind: 'exhausted', errors: this.#errors })
  }
}
