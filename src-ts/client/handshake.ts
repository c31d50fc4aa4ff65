import type { ConnectionCore } from '../connection/core'
import { NetpollError } from '../errors'
import type { AttemptOutcome, StartTimer } from './happy-eyeballs'

/** Waits for the handshake of a connection that exists; `follow` is given what is to be told of it. */
export function handshakeOf(
  connection: ConnectionCore,
  timeout: number,
  startTimer: StartTimer,
  follow: (outcome: AttemptOutcome<ConnectionCore>) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = (): void => {
      const error = new NetpollError(
        'ERR_DIAL_TIMEOUT',
        'The TLS handshake was not done within connectTimeout',
      )
      reject(error)
      connection.destroy(error)
    }
    const stopTimer = timeout === 0 ? (): void => {} : startTimer(timeout, late)
    follow({
      connected: () => {
        stopTimer()
        resolve()
      },
      failed: (error) => {
        stopTimer()
        reject(error)
      },
    })
  })
}
