import type { ConnectionGroup } from '../connection/core'
import type { Excerpt } from '../native/excerpt'
import { reasonError } from '../native/reasons'
import type { Context } from '../process/async-context'
import { guarded } from '../process/report'
import type { ServerTlsOptions } from '../tls/options'

/** What the core says of a handshake that has failed. */
export interface HandshakeFailure {
  readonly code: number
  readonly detail: number
  readonly excerpt: Excerpt | undefined
}

/** Tells the user of a handshake that has failed. What the hook throws is reported. */
export function tellFailedHandshake(
  hook: NonNullable<ServerTlsOptions['onHandshakeError']>,
  { code, detail, excerpt }: HandshakeFailure,
  group: ConnectionGroup,
  context: Context,
): void {
  const error = reasonError(code, detail, excerpt && { excerpt })
  if (error === undefined) return
  guarded(
    () => context.run(hook, error, undefined),
    (second) => group.listenerFailed(second, context),
  )
}
