/**
 * What was accepted to be sent, when the process ends: `process.exit()` and an uncaught exception leave no turn in which it
 * would go. No clean-up hook of N-API runs then in the main thread, but Node's `'exit'` event does.
 */

import * as clock from '../time/clock'
import type { NativePoller } from '../native/binding'

/** A poller, as far as its last bytes go. */
interface Sender {
  readonly native: Pick<NativePoller, 'carryOut' | 'sendWithin'>
}

/** Milliseconds that pollers on threads get, all together. A thread that hangs takes all of it, and one that only waits for a processor less. */
const patience = 2_000

/** Those that have connections. */
const senders = new Set<Sender>()

/** Has `sender` write what it can when the process ends: from now on it has connections. */
export function sendAtExit(sender: Sender): void {
  if (senders.size === 0) process.on('exit', sendAll)
  senders.add(sender)
}

/** It has none any more. A listener that is there without need would be seen by others. */
export function sendNothingAtExit(sender: Sender): void {
  senders.delete(sender)
  if (senders.size === 0) process.off('exit', sendAll)
}

/** One attempt for each connection, which waits for no peer. */
function sendAll(): void {
  // All threads begin before the first is waited for.
  for (const { native } of senders) native.carryOut()
  const end = clock.now() + patience
  for (const { native } of senders) native.sendWithin(Math.max(0, Math.ceil(end - clock.now())))
}
