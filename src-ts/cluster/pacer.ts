import { clearTimeout, clock, forgetSignal, setTimeout } from '../extension'

/** Pauses between questions, which end at once when there is reason to ask. They keep no process alive. */
export class Pacer {
  readonly #signal: AbortSignal
  #hurry: (() => void) | undefined
  #isHurried = false

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  /** Waits for `maximum` milliseconds; if there is reason to ask earlier, for `minimum`. Also ends when the signal aborts. */
  pause(minimum: number, maximum: number): Promise<void> {
    const begin = clock.now()
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined
      const end = (): void => {
        clearTimeout(timer)
        forgetSignal(this.#signal, end)
        this.#hurry = undefined
        resolve()
      }
      const wait = (milliseconds: number): void => {
        clearTimeout(timer)
        timer = setTimeout(end, Math.max(0, Math.ceil(begin + milliseconds - clock.now())))
        timer.unref()
      }
      this.#signal.addEventListener('abort', end, { once: true })
      this.#hurry = () => wait(minimum)
      wait(this.#isHurried ? minimum : maximum)
      this.#isHurried = false
      if (this.#signal.aborted) end()
    })
  }

  /** Waits until `time` on our clock, or until the signal aborts. */
  async until(time: number): Promise<void> {
    const left = time - clock.now()
    if (left > 0) await this.pause(left, left)
  }

  /** There is reason to ask. */
  hurry(): void {
    if (this.#hurry === undefined) this.#isHurried = true
    else this.#hurry()
  }
}
