// How a thread waits without letting its event loop turn, and how it turns that within a handler.
import { createRequire } from 'node:module'

/** Memory that threads wait by. */
export type Gate = Int32Array<SharedArrayBuffer>

/** Opens a gate for whoever waits there. */
export function open(gate: Gate, cell: number): void {
  Atomics.add(gate, cell, 1)
  Atomics.notify(gate, cell)
}

/** How often a gate was opened. */
export function count(gate: Gate, cell: number): number {
  return Atomics.load(gate, cell)
}

/** Blocks the thread until a gate is open. */
export function blockUntil(gate: Gate, cell: number): void {
  while (count(gate, cell) === 0) Atomics.wait(gate, cell, 0)
}

/** The event loop, which `deasync` turns in this way. */
export interface Loop {
  /** Turns it until something holds. */
  until(holds: () => boolean): void
  /** As `until`, while ticks and microtasks wait. */
  untilWithoutTicks(holds: () => boolean): void
  /** Turns it until a promise is settled. */
  await<T>(promise: Promise<T>): T
}

/** The loop of this thread, turned by the add-on of `support/nested-loop.mts`. */
export function loopOf(addon: string): Loop {
  const turn = createRequire(import.meta.url)(addon) as () => void
  const runTicks = (process as unknown as { _tickCallback(): void })._tickCallback
  const until = (holds: () => boolean): void => {
    while (!holds()) {
      runTicks.call(process)
      if (!holds()) turn()
    }
  }
  return {
    until,
    untilWithoutTicks: (holds) => {
      while (!holds()) turn()
    },
    await: <T,>(promise: Promise<T>): T => {
      let outcome: { readonly value: T } | { readonly error: unknown } | undefined
      promise.then(
        (value) => {
          outcome = { value }
        },
        (error: unknown) => {
          outcome = { error }
        },
      )
      until(() => outcome !== undefined)
      if (outcome !== undefined && 'value' in outcome) return outcome.value
      throw (outcome as { readonly error: unknown } | undefined)?.error
    },
  }
}
