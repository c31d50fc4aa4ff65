//! A socket, with TLS over it or without. Both have the same two verbs.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;
use std::time::Instant;

use super::readiness::{ReadUntil, Readiness};
use crate::settings::{Claim, UnfinishedBound};
use crate::socket::Stream;
use crate::tls::{self, Admission, Failure, Handshake, Negotiated, Scratch, Session, Tls};

/// Reads of what a peer has sent before its handshake has failed. Closing a socket that has unread input makes the kernel
/// reset the peer, which may then not learn why.
const LAST_READS: usize = 16;

/// What a peer may still send whose handshake has failed.
pub(super) enum Rest {
    /// Nothing: it has ended, or is gone.
    None,
    /// The socket has been emptied, and more may come.
    Awaited,
    /// The socket may have more already.
    Waits,
}

pub(super) struct Transport {
    pub(super) stream: Stream,
    tls: Option<Box<Session>>,
    /// Bytes of ciphertext that wait for the socket, which the hot path asks for without a look at the session.
    outgoing: usize,
    /// Its place among the connections of a server with TLS.
    admission: Option<Admission>,
}

impl Transport {
    /// The socket alone.
    pub(super) fn plain(stream: Stream) -> Self {
        Self {
            stream,
            tls: None,
            outgoing: 0,
            admission: None,
        }
    }

    /// Counts among the connections of a server.
    pub(super) fn admit(&mut self, admission: Option<Admission>) {
        self.admission = admission;
    }

    /// Puts this end of TLS over the socket. What it keeps is claimed of `unfinished`. As a client it is for the server `host`,
    /// which is reached at `destination`.
    pub(super) fn secure(
        &mut self,
        tls: &Tls,
        unfinished: &Arc<UnfinishedBound>,
        destination: &str,
        host: Option<&str>,
    ) -> io::Result<()> {
        let claim = Claim::new(unfinished.clone());
        let session = match tls {
            Tls::Server(tls) => Session::server(tls, claim),
            Tls::Client(tls) => Session::client(tls, destination, host, claim),
        };
        let session = session.map_err(Failure::into_error)?;
        self.tls = Some(Box::new(session));
        Ok(())
    }

    /// The handshake begins with `bytes`, which were read before it.
    pub(super) fn begin_with(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(session) => session.begin_with(bytes).map_err(Failure::into_error),
            None => Ok(()),
        }
    }

    /// Without TLS a message costs a comparison here, and what is read says how the socket stands. TLS notes in `readiness` where
    /// it knows better.
    #[inline]
    pub(super) fn read(
        &mut self,
        pieces: &mut [IoSliceMut<'_>],
        readiness: &mut Readiness,
    ) -> io::Result<usize> {
        match self.tls {
            None => self.stream.read(pieces),
            Some(_) => self.read_secured(pieces, readiness),
        }
    }

    /// Apart from the others, for the sake of the code that has no TLS.
    #[cold]
    #[inline(never)]
    fn read_secured(
        &mut self,
        pieces: &mut [IoSliceMut<'_>],
        readiness: &mut Readiness,
    ) -> io::Result<usize> {
        let Some(session) = &mut self.tls else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let stream = &self.stream;
        let has_failed = readiness.failed;
        let read = Scratch::lend(|scratch| {
            loop {
                let read = session.read(pieces, scratch, |memory| stream.read_apart(memory));
                // A socket that has failed may fail behind what TLS alone has read, such as tickets. Its end is told with that failure,
                // as without TLS: no more comes than the system has already.
                let is_tls_alone = has_failed && is_nothing(&read) && !session.is_dry();
                if !is_tls_alone {
                    break read;
                }
            }
        });
        self.outgoing = session.outgoing();
        if session.may_have_more() {
            readiness.read_until(ReadUntil::Empty);
        }
        read
    }

    /// As [`Self::read`].
    #[inline]
    pub(super) fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.write(pieces),
            Some(session) => {
                let written = write_secured(session, &mut self.stream, pieces);
                self.outgoing = session.outgoing();
                written
            }
        }
    }

    /// Writes ciphertext that waits, and carries nothing that is still queued.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.tls else {
            return Ok(());
        };
        let stream = &mut self.stream;
        let (_, flushed) = session.flush(|bytes| write_bytes(stream, bytes));
        self.outgoing = session.outgoing();
        flushed
    }

    /// Goes on with the handshake. `moved` is told of what has come or left.
    pub(super) fn shake_hands(&mut self, mut moved: impl FnMut()) -> io::Result<Handshake> {
        let Some(session) = &mut self.tls else {
            return Ok(Handshake::Done);
        };
        let stream = std::cell::RefCell::new((&mut self.stream, &mut moved));
        let begin = Instant::now();
        let shaken = Scratch::lend(|scratch| {
            session.shake_hands(
                scratch,
                |memory| {
                    let (stream, moved) = &mut *stream.borrow_mut();
                    stream.read_apart(memory).inspect(|_| moved())
                },
                |bytes| {
                    let (stream, moved) = &mut *stream.borrow_mut();
                    write_bytes(stream, bytes).inspect(|_| moved())
                },
            )
        });
        tls::spend_on_handshakes(begin.elapsed());
        self.outgoing = session.outgoing();
        if let (Ok(Handshake::Done), Some(admission)) = (&shaken, &mut self.admission) {
            admission.secured();
        }
        shaken
    }

    /// The handshake has failed: what it has kept is of no use any more.
    pub(super) fn end_tls(&mut self) {
        self.tls = None;
        self.outgoing = 0;
    }

    /// The handshake has failed: the peer reads the end behind what it was told of that.
    pub(super) fn end_output(&self) {
        // It fails only where the peer is gone.
        let _ = self.stream.shutdown_write();
    }

    /// The handshake has failed: sees to it that what the peer was told of that, if anything, arrives. Says what is still to come.
    pub(super) fn discard_input(&self) -> Rest {
        let mut memory = [0; 8 * 1024];
        for _ in 0..LAST_READS {
            match self.stream.read_apart(&mut memory) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Rest::Awaited,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Rest::None,
            }
        }
        Rest::Waits
    }

    /// Tells the peer that nothing more will come.
    pub(super) fn say_farewell(&mut self) {
        if let Some(session) = &mut self.tls {
            Scratch::lend(|scratch| session.say_farewell(scratch));
            self.outgoing = session.outgoing();
        }
    }

    /// Whether TLS is over the socket.
    pub(super) fn is_secured(&self) -> bool {
        self.tls.is_some()
    }

    /// Bytes of ciphertext that wait for the socket.
    #[inline]
    pub(super) fn outgoing(&self) -> usize {
        self.outgoing
    }

    /// What waits for the socket carries nothing that is still queued.
    pub(super) fn forget_plaintext(&mut self) {
        if let Some(session) = &mut self.tls {
            session.forget_plaintext();
        }
    }

    /// What waits for the socket is given up with all that it carries: nothing can be sent any more.
    pub(super) fn forget_ciphertext(&mut self) {
        if let Some(session) = &mut self.tls {
            session.forget_ciphertext();
            self.outgoing = session.outgoing();
        }
    }

    /// As [`Self::forget_ciphertext`]. Where the socket ends without the end of TLS, reading tells of `error`.
    pub(super) fn forget_refused(&mut self, error: io::Error) {
        if let Some(session) = &mut self.tls {
            session.forget_refused(error);
            self.outgoing = session.outgoing();
        }
    }

    /// Whether all plaintext that the socket took was on its way to the peer, as far as the system tells. That may count
    /// `end` bytes behind it, for the end of our direction.
    pub(super) fn has_departed(&self, end: usize) -> bool {
        let own_tail = self.session().map_or(0, Session::own_tail);
        self.stream.unsent().unwrap_or_default() <= own_tail + end
    }

    /// Whether TLS, where there is any, has said that nothing more will come, before the socket ended.
    pub(super) fn ends_properly(&self) -> bool {
        self.session().is_none_or(Session::has_ended_properly)
    }

    /// Whether a read that has found nothing has found the socket empty.
    pub(super) fn is_dry(&self) -> bool {
        self.tls.as_ref().is_none_or(|session| session.is_dry())
    }

    /// Reads what nothing wants any more, as it comes from the socket.
    pub(super) fn read_raw(&self, memory: &mut [u8]) -> io::Result<usize> {
        self.stream.read_apart(memory)
    }

    /// Whether bytes can be read.
    pub(super) fn has_input(&self) -> bool {
        let has_plaintext = |session: &Session| session.has_plaintext();
        self.tls.as_deref().is_some_and(has_plaintext) || self.stream.has_input()
    }

    /// How TLS stands, where it is over the socket.
    pub(super) fn session(&self) -> Option<&Session> {
        self.tls.as_deref()
    }

    /// As [`Self::session`].
    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        self.tls.as_deref_mut()
    }

    /// Lets the socket go.
    pub(super) fn into_session(self) -> Option<Box<Session>> {
        self.tls
    }

    pub(super) fn negotiated(&self) -> Option<Negotiated> {
        self.tls.as_ref()?.negotiated()
    }
}

/// Whether a read has brought nothing, and may bring something later.
fn is_nothing(read: &io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Apart from the others, for the sake of the code that has no TLS.
#[cold]
#[inline(never)]
fn write_secured(
    session: &mut Session,
    stream: &mut Stream,
    pieces: &[IoSlice<'_>],
) -> io::Result<usize> {
    Scratch::lend(|scratch| session.write(pieces, scratch, |bytes| write_bytes(stream, bytes)))
}

/// Apart, so that the write of a message without TLS stays where it is inlined.
#[inline(never)]
fn write_bytes(stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
    stream.write(&[IoSlice::new(bytes)])
}
