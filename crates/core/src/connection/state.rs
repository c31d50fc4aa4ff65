//! The life of a connection: one enum, and the table of what leads from where to where.
//!
//! ```text
//!  Connecting ──Reached──► Securing ──Secured──► Open: where there is TLS. Open ──SecureAsked──► Securing: later
//!
//!  Connecting ──Connected──► Open ──CloseAsked──────────────► Flushing ──Flushed──► Lingering
//!                             │ │                               ▲  ▲                 ▲  │
//!                             │ └─FinishAsked─► Finishing ─Answered│                 │  │
//!                             │                                 │                    │  │
//!                             └─EndAsked─► Ending ──CloseAsked──┘                    │  │
//!                                            │                                       │  │
//!                                            └─Flushed─► ReadOnly ──CloseAsked───────┘  │PeerEnded
//!                                                           │                           ▼
//!                                                           └─Answered, once the ──► Closed
//!                                                             peer has ended            ▲
//!  Open, Finishing ──Refused─► Refused ──Answered, CloseAsked─► Flushing                │
//!  every state ──Failed─────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A connection that is `Finishing` when another owner takes it over is `Open` again. From
//! `Refused` no way leads back to a state that reads or hands over. Where our direction has ended,
//! a refusal is as `CloseAsked`.

/// What is known of the peer's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// May still send.
    Sending,
    /// Has said that nothing more will come, and all of it has been read.
    Ended,
}

/// Where a connection is in its life.
///
/// ```
/// use netpoll_core::connection::{Event, Peer, State};
///
/// let open = State::Connecting.after(Event::Connected);
/// assert_eq!(open, State::Open(Peer::Sending));
/// let closing = open.after(Event::CloseAsked);
/// assert_eq!(closing.after(Event::Flushed), State::Lingering);
/// assert_eq!(closing.after(Event::Failed), State::Closed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Dialed, not yet established.
    Connecting,
    /// The socket stands, and the TLS handshake goes on.
    Securing,
    /// Messages flow.
    Open(Peer),
    /// What is queued is sent, then our direction ends; nothing else is accepted. Input is read and
    /// handed over as before.
    Ending(Peer),
    /// Our direction has ended. Input is read and handed over as before.
    ReadOnly(Peer),
    /// Nothing more is read; messages that were read are still handed over and answered.
    Finishing(Peer),
    /// The peer has sent what is refused, or has not finished a message in time. Nothing of it is read or handed over any
    /// more, whatever waits. Messages that were handed over before are still answered.
    Refused(Peer),
    /// What is queued is sent, nothing else is accepted, input is discarded.
    Flushing(Peer),
    /// Our side is shut down. Input is read and discarded until the peer ends. Closing a socket
    /// that has unread input makes the kernel reset the peer, which then loses what is on its way.
    Lingering,
    /// Over.
    Closed,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The dial succeeded.
    Connected,
    /// The dial has reached the peer, and TLS comes first.
    Reached,
    /// The TLS handshake is done.
    Secured,
    /// Go over to TLS.
    SecureAsked,
    /// The peer's end was read.
    PeerEnded,
    /// Send what is queued, then end our direction.
    EndAsked,
    /// Read nothing more, answer what was read, then close.
    FinishAsked,
    /// The peer has sent what is refused, or has not finished a message in time.
    Refused,
    /// Nothing is being handled any more.
    Answered,
    /// Send what is queued, then close.
    CloseAsked,
    /// Another owner decides from now on when it ends.
    TakenOver,
    /// The queue is empty.
    Flushed,
    /// The socket failed, a deadline passed, or the user destroyed the connection.
    Failed,
}

impl State {
    /// The state after `event`; an event without meaning in a state leaves it as it is.
    #[must_use]
    pub fn after(self, event: Event) -> Self {
        use State::{
            Closed, Connecting, Ending, Finishing, Flushing, Lingering, Open, ReadOnly, Refused,
            Securing,
        };
        match (self, event) {
            (_, Event::Failed)
            | (Connecting | Securing, Event::CloseAsked | Event::FinishAsked)
            | (Lingering, Event::PeerEnded)
            | (Flushing(Peer::Ended), Event::Flushed)
            | (
                ReadOnly(Peer::Ended),
                Event::Answered | Event::CloseAsked | Event::FinishAsked | Event::Refused,
            ) => Closed,
            (Connecting, Event::Reached) | (Open(Peer::Sending), Event::SecureAsked) => Securing,
            (Connecting, Event::Connected) | (Securing, Event::Secured) => Open(Peer::Sending),
            (Open(_), Event::PeerEnded) => Open(Peer::Ended),
            (Ending(_), Event::PeerEnded) => Ending(Peer::Ended),
            (ReadOnly(_), Event::PeerEnded) => ReadOnly(Peer::Ended),
            (Finishing(_), Event::PeerEnded) => Finishing(Peer::Ended),
            (Refused(_), Event::PeerEnded) => Refused(Peer::Ended),
            (Flushing(_), Event::PeerEnded) => Flushing(Peer::Ended),
            (Open(peer), Event::FinishAsked) => Finishing(peer),
            (Open(peer) | Finishing(peer), Event::Refused) => Refused(peer),
            (Finishing(peer), Event::TakenOver) => Open(peer),
            (Open(peer), Event::EndAsked) => Ending(peer),
            (Ending(peer), Event::Flushed) => ReadOnly(peer),
            (Finishing(peer) | Refused(peer), Event::Answered)
            | (Ending(peer), Event::FinishAsked | Event::Refused)
            | (Open(peer) | Finishing(peer) | Refused(peer) | Ending(peer), Event::CloseAsked) => {
                Flushing(peer)
            }
            (Flushing(Peer::Sending), Event::Flushed)
            | (ReadOnly(Peer::Sending), Event::CloseAsked | Event::FinishAsked | Event::Refused) => {
                Lingering
            }
            (state, _) => state,
        }
    }

    /// Whether the peer is read from.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(
            self,
            Self::Open(Peer::Sending) | Self::Ending(Peer::Sending) | Self::ReadOnly(Peer::Sending)
        )
    }

    /// Whether messages that were read are handed over.
    #[must_use]
    pub fn hands_over(self) -> bool {
        matches!(
            self,
            Self::Open(_) | Self::Ending(_) | Self::ReadOnly(_) | Self::Finishing(_)
        )
    }

    /// Whether what the peer still sends is read and thrown away. A peer that writes all of its
    /// requests before it reads would otherwise never get to reading what is left to send.
    #[must_use]
    pub fn discards(self) -> bool {
        matches!(self, Self::Flushing(Peer::Sending) | Self::Lingering)
    }

    /// Whether bytes may still be queued to be sent.
    #[must_use]
    pub fn accepts_output(self) -> bool {
        matches!(self, Self::Open(_) | Self::Finishing(_) | Self::Refused(_))
    }

    /// Whether our direction has ended, while the socket is still open.
    #[must_use]
    pub fn is_shut_down(self) -> bool {
        matches!(self, Self::ReadOnly(_) | Self::Lingering)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 16] = [
        State::Connecting,
        State::Securing,
        State::Open(Peer::Sending),
        State::Open(Peer::Ended),
        State::Ending(Peer::Sending),
        State::Ending(Peer::Ended),
        State::ReadOnly(Peer::Sending),
        State::ReadOnly(Peer::Ended),
        State::Finishing(Peer::Sending),
        State::Finishing(Peer::Ended),
        State::Refused(Peer::Sending),
        State::Refused(Peer::Ended),
        State::Flushing(Peer::Sending),
        State::Flushing(Peer::Ended),
        State::Lingering,
        State::Closed,
    ];
    const EVENTS: [Event; 13] = [
        Event::Connected,
        Event::Reached,
        Event::Secured,
        Event::SecureAsked,
        Event::PeerEnded,
        Event::EndAsked,
        Event::FinishAsked,
        Event::Refused,
        Event::Answered,
        Event::CloseAsked,
        Event::TakenOver,
        Event::Flushed,
        Event::Failed,
    ];

    #[test]
    fn closed_is_final_and_failure_reaches_it_from_everywhere() {
        for event in EVENTS {
            assert_eq!(State::Closed.after(event), State::Closed);
        }
        for state in STATES {
            assert_eq!(state.after(Event::Failed), State::Closed);
        }
    }

    #[test]
    fn an_orderly_close_passes_through_every_stage() {
        let mut state = State::Connecting;
        for (event, expected) in [
            (Event::Connected, State::Open(Peer::Sending)),
            (Event::FinishAsked, State::Finishing(Peer::Sending)),
            (Event::Answered, State::Flushing(Peer::Sending)),
            (Event::Flushed, State::Lingering),
            (Event::PeerEnded, State::Closed),
        ] {
            state = state.after(event);
            assert_eq!(state, expected);
        }
    }

    #[test]
    fn a_peer_that_has_ended_needs_no_lingering() {
        let state = State::Open(Peer::Ended).after(Event::CloseAsked);
        assert_eq!(state.after(Event::Flushed), State::Closed);
    }

    #[test]
    fn ending_our_direction_leaves_the_peers_open() {
        let mut state = State::Open(Peer::Sending);
        for (event, expected) in [
            (Event::EndAsked, State::Ending(Peer::Sending)),
            (Event::Answered, State::Ending(Peer::Sending)),
            (Event::Flushed, State::ReadOnly(Peer::Sending)),
            (Event::Answered, State::ReadOnly(Peer::Sending)),
            (Event::PeerEnded, State::ReadOnly(Peer::Ended)),
            (Event::Answered, State::Closed),
        ] {
            state = state.after(event);
            assert_eq!(state, expected);
        }
        let state = State::Open(Peer::Ended).after(Event::EndAsked);
        assert_eq!(state.after(Event::Flushed), State::ReadOnly(Peer::Ended));
        let state = State::Ending(Peer::Sending).after(Event::PeerEnded);
        assert_eq!(state.after(Event::Flushed), State::ReadOnly(Peer::Ended));
    }

    #[test]
    fn closing_goes_on_from_wherever_our_direction_is() {
        for asked in [Event::CloseAsked, Event::FinishAsked, Event::Refused] {
            for (state, expected) in [
                (State::Ending(Peer::Sending), State::Flushing(Peer::Sending)),
                (State::Ending(Peer::Ended), State::Flushing(Peer::Ended)),
                (State::ReadOnly(Peer::Sending), State::Lingering),
                (State::ReadOnly(Peer::Ended), State::Closed),
            ] {
                assert_eq!(state.after(asked), expected);
            }
        }
    }

    #[test]
    fn only_what_hands_over_reads_and_no_direction_reopens() {
        for state in STATES {
            assert!(!state.reads() || state.hands_over() && !state.discards());
            for event in EVENTS {
                let after = state.after(event);
                let same = format!("{state:?} {event:?} {after:?}");
                if !matches!(state, State::Connecting | State::Securing) {
                    assert!(state.accepts_output() || !after.accepts_output(), "{same}");
                    let undone =
                        event == Event::TakenOver && state == State::Finishing(Peer::Sending);
                    assert!(state.reads() || undone || !after.reads(), "{same}");
                }
                if state.is_shut_down() {
                    assert!(after.is_shut_down() || after == State::Closed, "{same}");
                }
            }
        }
    }

    #[test]
    fn what_is_open_does_not_end_by_itself() {
        for state in [State::Open(Peer::Sending), State::Open(Peer::Ended)] {
            for event in [Event::Answered, Event::Flushed] {
                assert_eq!(state.after(event), state);
            }
            assert!(!state.is_shut_down());
        }
    }

    #[test]
    fn nothing_is_read_or_handed_over_after_a_refusal_whatever_happens() {
        for state in STATES.into_iter().filter(|state| state.hands_over()) {
            let mut reached = vec![state.after(Event::Refused)];
            let mut at = 0;
            while let Some(&state) = reached.get(at) {
                assert!(!state.reads() && !state.hands_over(), "{state:?}");
                for after in EVENTS.map(|event| state.after(event)) {
                    if !reached.contains(&after) {
                        reached.push(after);
                    }
                }
                at += 1;
            }
        }
    }
}
