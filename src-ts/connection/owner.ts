/** The owner that keeps a dialed connection for later use: a pool or a mux. */
export interface ConnectionOwner {
  /** The peer has ended or refused: what it still sends are the last replies. */
  inactive(): void
  /** The peer or the user wants no new calls on it; the peer still answers. The last call's end closes the connection. */
  leaving(): void
  /** The user has ended our direction: nothing can be asked any more, and the replies to earlier calls still come. */
  finishing(): void
  /** The reply to a call that was given up has come. */
  answeredLate(): void
  /** Nothing of the peer is taken any more, and the calls have failed; the connection closes. */
  callsFailed(): void
  /** The connection is gone, and its calls have failed. */
  closed(): void
}
