import type { Chunk } from '../memory/chunk'
import type { Excerpt } from '../native/excerpt'
import type { NativeId } from '../native/binding'
import type { Context } from '../process/async-context'

/** A connection, as its poller knows it: what records tell. */
export interface PolledConnection extends NativeId {
  readonly context: Context
  receive(chunk: Chunk, start: number, length: number): void
  identify(low: number, high: number): void
  open(): void | Promise<void>
  connected(): void
  inactive(code: number, call: number, excerpt: Excerpt | undefined): void
  ended(): void
  congested(): void
  drained(): void
  idle(): void
  idleConfirmed(): void
  timerFired(number: number, late: number): void
  totals(direction: 'read' | 'written', bytes: number): void
  endSent(): void
  flushed(number: number): void
  plainEnded(): void
  secured(): void
  wornOut(): void
  closed(code: number, call: number, excerpt: Excerpt | undefined): void
  /** Reports an error that does not end it. */
  tell(error: unknown): void
  fail(error: unknown): void
}
