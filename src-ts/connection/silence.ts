import * as clock from '../time/clock'
import type { CommandQueue, CommandTarget } from '../poller/command-queue'
import type { NativePoller } from '../native/binding'

/** The poller of a connection, as far as its silence concerns it. */
export interface SilencePoller {
  readonly commandQueue: Pick<CommandQueue, 'confirmIdle'>
  readonly native: Pick<NativePoller, 'now'>
}

/**
 * Until when the user's code was busy with a connection that has an `idleTimeout`. The core sees silence on the wire from
 * the last byte on, and asks before it takes that for idleness. The silence counts from where the code was busy last.
 */
export class Silence {
  readonly #poller: SilencePoller
  /** Milliseconds on our clock. */
  #busyUntil = Number.NEGATIVE_INFINITY
  /** What the core was told of that. */
  #toldUntil = Number.NEGATIVE_INFINITY

  constructor(poller: SilencePoller) {
    this.#poller = poller
  }

  /** The user's code was busy until now. */
  wasBusy(): void {
    this.#busyUntil = clock.now()
  }

  /** Whether the code was not busy since {@link confirm}. */
  get isConfirmed(): boolean {
    return this.#toldUntil === this.#busyUntil
  }

  /** The code is not busy. */
  confirm(target: CommandTarget): void {
    this.#toldUntil = this.#busyUntil
    // On the poller's clock: ours may go on while the machine sleeps.
    const busyUntil = this.#poller.native.now() - (clock.now() - this.#busyUntil)
    this.#poller.commandQueue.confirmIdle(target, Math.max(0, Math.ceil(busyUntil)))
  }
}
