import type { Endpoint } from './endpoint'

/** One server, as a balancer sees it. */
export interface Node {
  /** What the resolver has said of it. */
  readonly endpoint: Endpoint
  /** Its address as text, with the `servername` if there is one: the same in every process. */
  readonly id: string
  /** A hash of the id, 32 bits. */
  readonly hash: number
  /** Its share of the calls: the endpoint's weight, less during a slow start. */
  readonly weight: number
  /** Calls that wait for its reply. */
  readonly running: number
  /** Milliseconds that its calls take: an average that follows slow calls at once. 0 before the first has ended. */
  readonly latency: number
  /** How long a further call would probably take, by latency, calls and the endpoint's weight. To be compared. */
  readonly load: number
}
