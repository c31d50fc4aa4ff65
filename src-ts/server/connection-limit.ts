import { createConnection } from '../connection/connection'
import type { ConnectionCore } from '../connection/core'
import type { Context } from '../process/async-context'
import { guarded } from '../process/report'
import type { NativeId } from '../native/binding'
import type { ConnectionGroup } from '../connection/group'
import { checkInteger } from '../checks/arguments'
import type { Drop, ServerOptions } from './options'

/** Lets in so many connections, and turns away the others. */
export class ConnectionLimit {
  readonly #max: number
  readonly #onDrop: ((drop: Drop) => void) | undefined
  #dropped = 0

  /** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
  constructor({ maxConnections, onDrop }: Pick<ServerOptions, 'maxConnections' | 'onDrop'>) {
    if (maxConnections !== undefined) {
      checkInteger('options.maxConnections', maxConnections, 1, Number.MAX_SAFE_INTEGER)
    }
    this.#max = maxConnections ?? Number.POSITIVE_INFINITY
    this.#onDrop = onDrop
  }

  /** Connections turned away so far. */
  get dropped(): number {
    return this.#dropped
  }

  /** How many it lets in. */
  get max(): number {
    return this.#max
  }

  /** Whether user code is told of those that it turns away. */
  get isWatched(): boolean {
    return this.#onDrop !== undefined
  }

  /** Whether one more than `connections` would be too many. */
  isFull(connections: number): boolean {
    return connections >= this.#max
  }

  /** One could not be let in. */
  failed(): void {
    this.#dropped += 1
  }

  /** Closes a connection at once. No hook but `onDrop` learns of it. */
  drop(id: NativeId, group: ConnectionGroup, context: Context): ConnectionCore {
    this.#dropped += 1
    const connection = createConnection(id, strangers(group), 'open', context)
    const onDrop = this.#onDrop
    if (onDrop !== undefined) {
      const { remoteAddress, localAddress } = connection.socket
      guarded(
        () => context.run(onDrop, { remoteAddress, localAddress }, undefined),
        (error) => group.listenerFailed(error, context),
      )
    }
    connection.destroy()
    return connection
  }
}

/** For connections that the user never sees: no code is told what becomes of them. */
function strangers(group: ConnectionGroup): ConnectionGroup {
  return { ...group, failed: () => {}, closed: () => false }
}
