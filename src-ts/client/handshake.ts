import type { ConnectionCore } from '../connection/core'
import { NetpollError } from '../errors'
import * as clock from '../time/clock'
import { onceTimer } from '../time/lazy-timer'
import type { AttemptOutcome } from './happy-eyeballs'

/** Waits for the handshake of a connection that exists; `follow` is given what is to be told of it. */
export function handshakeOf(
  connection: ConnectionCore,
  timeout: number,
  follow: (outcome: AttemptOutcome<ConnectionCore>) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = onceTimer(() => {
      const error = new NetpollError(
        'ERR_DIAL_TIMEOUT',
        'The TLS handshake was not done within connectTimeout',
      )
      reject(error)
      connection.destroy(error)
    })
    if (timeout > 0) timer.arm(clock.now() + timeout)
    follow({
      connected: () => {
        timer.stop()
        resolve()
      },
      failed: (error) => {
        timer.stop()
        reject(error)
      },
    })
  })
}
