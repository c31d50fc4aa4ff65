/** Where a connection is in its life, as far as JavaScript can tell. It only goes down this list, past some of them, but for one that goes over to TLS. */
const Status = {
  /** Dialed, and not established; or on its way from plaintext to TLS. */
  Connecting: 0,
  Open: 1,
  /** The peer has ended its direction, ours goes on, with `allowHalfOpen`: nothing is answered any more. */
  HalfOpen: 2,
  /** Our direction has ended, the peer's goes on. */
  Ending: 3,
  /** The server closes: what was read is answered, and nothing more is read than replies. */
  Finishing: 4,
  /** As `Finishing`, where one direction has ended, and the peer's end alone does not mean that it has gone. */
  Answering: 5,
  /** The peer has ended its direction; what was asked before may still be answered. */
  Inactive: 6,
  /** The peer has sent what is refused, so that nothing of it is taken any more; otherwise as `Inactive`. */
  Refused: 7,
  /** Closed in this turn by the user: replies that are returned before it is over leave first. */
  Leaving: 8,
  Closing: 9,
  Closed: 10,
} as const

type Status = (typeof Status)[keyof typeof Status]

/** Where a connection stands, of which one end has said that it is to be used no more. */
const Leave = {
  /** Nothing was said. */
  None: 0,
  /** We have asked the peer to leave, and serve it until it has. */
  Asked: 1,
  /** The peer or the user wants no call of ours to begin any more: the last one's end closes the connection. */
  Leaving: 2,
  /** As `Asked`, and the user wants no call of ours to begin any more. */
  Retired: 3,
} as const

type Leave = (typeof Leave)[keyof typeof Leave]

/** How a connection begins: dialed, or accepted. */
export type FirstStatus = 'connecting' | 'open'

/** How far a connection has come, and what can still be done with it. Its parts ask it, and move it on. */
export class Life {
  #status: Status
  #leave: Leave = Leave.None
  /** Whether it has carried plaintext, and goes over to TLS. */
  #goesOver = false

  constructor(first: FirstStatus) {
    this.#status = first === 'open' ? Status.Open : Status.Connecting
  }

  get isConnecting(): boolean {
    return this.#status === Status.Connecting
  }

  /** Whether both directions are open. */
  get isWhole(): boolean {
    return this.#status === Status.Open
  }

  /** Whether it is open both ways, and neither end has asked the other to leave. */
  get isUntouched(): boolean {
    return this.#status === Status.Open && this.#leave === Leave.None
  }

  /** Whether it is open in our direction alone. */
  get isHalfOpen(): boolean {
    return this.#status === Status.HalfOpen
  }

  /** Whether our direction alone has ended, or is about to: no call can be made any more. */
  get isEnding(): boolean {
    return this.#status === Status.Ending
  }

  /** Whether what the peer has sent is still answered, and nothing else can be done. */
  get isAnswering(): boolean {
    return this.#status >= Status.Finishing && this.#status <= Status.Inactive
  }

  /** Whether the peer has gone or was refused, or the connection closes. A server that closes may still answer. */
  get isGone(): boolean {
    return this.#status >= Status.Inactive
  }

  get isRefused(): boolean {
    return this.#status === Status.Refused
  }

  /** Whether messages can go at least one way, also where the peer has asked for no new calls. */
  get #exchanges(): boolean {
    return this.#status >= Status.Open && this.#status <= Status.Ending
  }

  get isActive(): boolean {
    return (this.#exchanges || this.#isGoingOver) && this.#leave !== Leave.Leaving
  }

  get #isGoingOver(): boolean {
    return this.#goesOver && this.#status === Status.Connecting
  }

  /** Whether calls can be made, as far as the peer has not asked for no new ones. */
  get takesCalls(): boolean {
    return this.#status === Status.Open || this.#status === Status.Finishing
  }

  /** Whether anything can be sent. */
  get takesOutput(): boolean {
    return this.#status === Status.Open || this.#status === Status.HalfOpen
  }

  /** Whether it is established, and was not closed. */
  get isOpen(): boolean {
    return this.#status !== Status.Connecting && this.#status < Status.Leaving
  }

  /** Whether we have closed it, or it is gone. */
  get isClosing(): boolean {
    return this.#status >= Status.Leaving
  }

  /** Whether the user has closed it in this turn. */
  get isLeavingNow(): boolean {
    return this.#status === Status.Leaving
  }

  get isClosed(): boolean {
    return this.#status === Status.Closed
  }

  /** Whether messages still go to handlers. The hot path. */
  get takesReplies(): boolean {
    return this.#status < Status.Leaving
  }

  /** Whether what a handler has returned is still sent. The hot path. */
  get sendsReplies(): boolean {
    return this.#status < Status.Closing
  }

  /** Whether the peer or the user wants no new calls. It closes by itself, once the last call has ended. */
  get isLeaving(): boolean {
    return this.#leave === Leave.Leaving
  }

  /** Whether neither end has said that it is to be used no more. */
  get isKept(): boolean {
    return this.#leave === Leave.None
  }

  /** Whether we have asked the peer not to use it any more. */
  get isAsked(): boolean {
    return this.#leave === Leave.Asked || this.#leave === Leave.Retired
  }

  /** Whether calls may begin, as far as neither end wants no new ones. */
  get beginsCalls(): boolean {
    return this.#leave === Leave.None || this.#leave === Leave.Asked
  }

  /** In the words of `net.Socket`, as far as that has any. */
  get state(): string {
    switch (this.#status) {
      case Status.Connecting:
        return 'opening'
      case Status.Open:
        return this.isKept ? 'open' : 'retiring'
      case Status.HalfOpen:
        return 'writeOnly'
      case Status.Ending:
        return 'readOnly'
      case Status.Closed:
        return 'closed'
      default:
        return 'closing'
    }
  }

  /** It is established; false where it is given up already. */
  connected(): boolean {
    if (this.#status !== Status.Connecting) return false
    this.#status = Status.Open
    return true
  }

  /** It goes over to TLS, and is established again when that is done. */
  secures(): void {
    this.#goesOver = true
    this.#status = Status.Connecting
  }

  /** Our direction ends; false where it has, or cannot. */
  end(): boolean {
    if (!this.takesOutput) return false
    this.#status = Status.Ending
    return true
  }

  /** The peer ends its direction, and ours goes on; false where it does not. */
  peerEnded(): boolean {
    if (this.#status !== Status.Open) return false
    this.#status = Status.HalfOpen
    return true
  }

  /** The peer has gone; with `allowHalfOpen` it may have ended its direction, and wait for the answers. */
  peerGone(allowHalfOpen: boolean): void {
    if (this.#exchanges) this.#status = Status.Inactive
    else if (this.#status === Status.Finishing)
      this.#status = allowHalfOpen ? Status.Answering : Status.Inactive
  }

  /** What the peer has sent is refused. */
  refused(): void {
    if (this.isAnswering) this.#status = Status.Refused
  }

  /** What was read is answered, and then it closes; false where it does so anyway. */
  finish(): boolean {
    if (this.isClosing || this.isRefused) return false
    if (this.#status === Status.Open) this.#status = Status.Finishing
    else if (this.#exchanges) this.#status = Status.Answering
    return true
  }

  /** The user closes it: what handlers return in this turn still leaves. */
  leave(): void {
    this.#status = Status.Leaving
  }

  /** It closes. */
  close(): void {
    this.#status = Status.Closing
  }

  /** It is gone. */
  closed(): void {
    this.#status = Status.Closed
  }

  /** We have asked the peer to leave. */
  asked(): void {
    this.#leave = Leave.Asked
  }

  /** We have asked the peer to leave, and no call of ours begins any more. */
  retired(): void {
    this.#leave = Leave.Retired
  }

  /** The peer or the user wants no new calls; false where it was so before. */
  askedToLeave(): boolean {
    if (this.#leave === Leave.Leaving) return false
    this.#leave = Leave.Leaving
    return true
  }
}
