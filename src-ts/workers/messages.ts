import type { BytesOption } from '../memory/message-types'
import type { NativeFraming } from '../native/binding'
import type { Origin } from './handler'
import type { PostedError } from './posted-error'

/** What the server's thread tells a worker at its start. */
export interface WorkerStart {
  /** The number of the pool. */
  readonly pool: number
  /** The file of the add-on that has the pool: another one would know nothing of it. */
  readonly addon: string
  /** URL of the handler's module. */
  readonly module: string
  readonly framing: NativeFraming
  readonly bytes: BytesOption
  readonly idleTimeout: number
}

/** Key of {@link WorkerStart} among the environment data of a worker, so that `workerData` is the user's own. */
export const startKey = 'netpoll.worker'

/** What a worker tells the server's thread. Requests and replies are not among it: those go natively. */
export type WorkerMessage =
  /** It takes requests. */
  | { readonly netpoll: 'ready' }
  /** It had nothing to do, has left the pool, and ends. */
  | { readonly netpoll: 'retired' }
  /** A handler has failed; the connection closes. */
  | { readonly netpoll: 'failed'; readonly error: PostedError; readonly source: Origin }

/** Whether a message is one of ours, and not the handler's own. */
export function isWorkerMessage(message: unknown): message is WorkerMessage {
  return typeof message === 'object' && message !== null && 'netpoll' in message
}
