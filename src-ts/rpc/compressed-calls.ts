import type { Connection } from '../index'
import { coreOf } from '../extension'
import { copyOf } from './inflation-queue'
import { type BufferBound, type Claim, Inflater, type InflationStats } from './inflater'
import type { CancelMessage, CompressedMessage, Message } from './message'

/** What a server does with a message: it decodes it, and begins its call. */
export interface MessageReader<Received, Answer> {
  decode(bytes: Buffer): Message<Received> | CompressedMessage<Received> | CancelMessage
  /** Begins the call; the promise is settled when it ends. Throws where a server is not called so. Nothing answers a cancel. */
  begin(message: Message<Received> | CancelMessage, connection: Connection): Promise<Answer> | undefined
}

/** Whether the message before has begun its call. */
type Turn = 'begun' | 'refused'

/** Messages of one connection, the first of which is being inflated. */
interface MessageQueue {
  /** That of the last. */
  turn: Promise<Turn>
  length: number
}

/**
 * Compressed messages of a server's connections, and those behind them. The calls of a connection begin in the order of
 * its messages. A connection without a compressed message under way has no part in this.
 */
export class CompressedCalls<Received, Answer> {
  readonly #inflater: Inflater
  readonly #reader: MessageReader<Received, Answer>
  /** Connections on which a message is being inflated: few, and none where none is compressed. */
  readonly #queues = new Map<Connection, MessageQueue>()
  /** What calls hold, by the connection with which they end at the latest. */
  readonly #claims = new Map<Connection, Set<Claim>>()

  constructor(bound: BufferBound, reader: MessageReader<Received, Answer>) {
    this.#inflater = new Inflater(bound)
    this.#reader = reader
  }

  stats(): InflationStats {
    return this.#inflater.stats()
  }

  /** Behind which a message of `connection` waits. The hot path: while nothing is being inflated, nothing is looked up. */
  queueOf(connection: Connection): MessageQueue | undefined {
    return this.#queues.size === 0 ? undefined : this.#queues.get(connection)
  }

  /** A compressed message that none is before. */
  begin(message: CompressedMessage<Received>, connection: Connection): Promise<Answer | undefined> {
    const queue: MessageQueue = { turn: begun, length: 0 }
    this.#queues.set(connection, queue)
    return this.#inTurn(queue, connection, (turned) => this.#inflate(message, connection, turned))
  }

  /** A message that waits behind others. */
  follow(queue: MessageQueue, bytes: Buffer, connection: Connection): Promise<Answer | undefined> {
    const before = queue.turn
    // Where it arrived, a handler of others may transfer the memory away.
    const kept = copyOf(bytes)
    return this.#inTurn(queue, connection, async (turned) => {
      if ((await before) === 'refused' || !takesReplies(connection)) return undefined
      const message = this.#reader.decode(kept)
      if (message.kind === 'compressed') return this.#inflate(message, connection, turned)
      const answer = this.#reader.begin(message, connection)
      turned('begun')
      return answer
    })
  }

  /** After a message that is refused none is read: its connection closes. */
  async #inTurn(
    queue: MessageQueue,
    connection: Connection,
    work: (turned: (turn: Turn) => void) => Promise<Answer | undefined>,
  ): Promise<Answer | undefined> {
    let settle: (turn: Turn) => void = () => {}
    queue.turn = new Promise((resolve) => {
      settle = resolve
    })
    queue.length += 1
    let isOver = false
    const turned = (turn: Turn): void => {
      if (isOver) return
      isOver = true
      queue.length -= 1
      if (queue.length === 0) this.#queues.delete(connection)
      settle(turn)
    }
    try {
      return await work(turned)
    } finally {
      turned('refused')
    }
  }

  async #inflate(
    message: CompressedMessage<Received>,
    connection: Connection,
    turned: (turn: Turn) => void,
  ): Promise<Answer | undefined> {
    const claim = this.#inflater.newClaim()
    const claims = this.#claimsOf(connection)
    claims.add(claim)
    try {
      const isInflated = await this.#inflater.inflate(message, claim, () => takesReplies(connection))
      if (!isInflated || !takesReplies(connection)) return undefined
      const answer = this.#reader.begin(message.open(claim.take()), connection)
      turned('begun')
      return await answer
    } finally {
      claim.release()
      claims.delete(claim)
    }
  }

  #claimsOf(connection: Connection): Set<Claim> {
    const known = this.#claims.get(connection)
    if (known !== undefined) return known
    const claims = new Set<Claim>()
    this.#claims.set(connection, claims)
    // A handler may never end. Its call does, with the connection.
    coreOf(connection)?.onClose(() => {
      this.#claims.delete(connection)
      for (const claim of claims) claim.release()
    })
    return claims
  }
}

const begun: Promise<Turn> = Promise.resolve('begun')

function takesReplies(connection: Connection): boolean {
  return coreOf(connection)?.life.takesReplies === true
}
