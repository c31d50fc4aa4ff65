import { Operation } from '../native/protocol-numbers'
import type { Outbox, Target } from '../poller/command-queue'

/** Why nothing is read from a connection. */
export const Hold = {
  /** The user has paused it. */
  User: 1,
  /** `onConnect` is not done. */
  Hook: 2,
  /** Too much waits to be read by the user. */
  Full: 4,
} as const

export type Hold = (typeof Hold)[keyof typeof Hold]

/** Reading goes on while nothing holds it. */
export class Flow {
  readonly #outbox: Outbox
  readonly #target: Target
  #holds: number

  constructor(outbox: Outbox, target: Target, holds: number) {
    this.#outbox = outbox
    this.#target = target
    this.#holds = holds
  }

  /** Whether reading is held for this reason. */
  isHeld(reason: Hold): boolean {
    return (this.#holds & reason) !== 0
  }

  hold(reason: Hold): void {
    const before = this.#holds
    this.#holds = before | reason
    if (before === 0) this.#outbox.command(Operation.Pause, this.#target)
  }

  release(reason: Hold): void {
    const before = this.#holds
    this.#holds = before & ~reason
    if (before !== 0 && this.#holds === 0) this.#outbox.command(Operation.Resume, this.#target)
  }
}
