import type { ConnectionGroup } from '../connection/core'
import type { NetpollError } from '../errors'
import type { Context } from '../process/async-context'
import { guarded } from '../process/report'
import type { ServerTlsOptions } from '../tls/options'

/** Tells the user of a handshake that has failed. What the hook throws is reported. */
export function tellFailedHandshake(
  hook: NonNullable<ServerTlsOptions['onHandshakeError']>,
  error: NetpollError | undefined,
  group: ConnectionGroup,
  context: Context,
): void {
  if (error === undefined) return
  guarded(
    () => context.run(hook, error, undefined),
    (second) => group.listenerFailed(second, context),
  )
}
