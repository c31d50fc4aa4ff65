import { Operation } from '../native/protocol-numbers'
import type { CommandQueue, CommandTarget } from '../poller/command-queue'

/** Why nothing is read from a connection. */
export const PauseReason = {
  /** The user has paused it. */
  User: 1,
  /** `onConnect` is not done. */
  Hook: 2,
  /** Too much waits to be read by the user. */
  Full: 4,
} as const

export type PauseReason = (typeof PauseReason)[keyof typeof PauseReason]

/** Reading goes on while nothing holds it. */
export class ReadPause {
  readonly #commandQueue: CommandQueue
  readonly #target: CommandTarget
  #reasons: number

  constructor(commandQueue: CommandQueue, target: CommandTarget, reasons: number) {
    this.#commandQueue = commandQueue
    this.#target = target
    this.#reasons = reasons
  }

  /** Whether reading is held for this reason. */
  isPausedFor(reason: PauseReason): boolean {
    return (this.#reasons & reason) !== 0
  }

  pause(reason: PauseReason): void {
    const before = this.#reasons
    this.#reasons = before | reason
    if (before === 0) this.#commandQueue.command(Operation.Pause, this.#target)
  }

  resume(reason: PauseReason): void {
    const before = this.#reasons
    this.#reasons = before & ~reason
    if (before !== 0 && this.#reasons === 0) this.#commandQueue.command(Operation.Resume, this.#target)
  }
}
