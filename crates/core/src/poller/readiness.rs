//! What a socket has announced, and how far it is to be read.

/// How far a socket is read that an event has announced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ReadUntil {
    /// A read that does not fill its space: it has emptied the socket, and an event announces what comes next. Where it has not,
    /// because something was passed along with the bytes, the next look tells of the rest: see [`crate::watch`].
    Short,
    /// A read that finds nothing: a short one may have stopped at an urgent byte, behind which more has been announced already.
    Empty,
    /// The peer's end: no further event will come.
    End,
}

impl ReadUntil {
    /// Where no event tells of urgent bytes, each short read may have stopped at one.
    const USUAL: Self = if cfg!(any(target_os = "linux", target_os = "android")) {
        Self::Short
    } else {
        Self::Empty
    };
}

/// What events have announced and no call has used up yet.
pub(super) struct Readiness {
    pub(super) readable: bool,
    pub(super) writable: bool,
    until: ReadUntil,
    /// The socket has an error to tell.
    pub(super) failed: bool,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            readable: false,
            writable: false,
            until: ReadUntil::USUAL,
            failed: false,
        }
    }
}

impl Readiness {
    /// A read has brought something, which has filled its space or not. A message costs two comparisons here, and no call.
    pub(super) fn received(&mut self, is_full: bool) {
        self.readable = is_full || self.until != ReadUntil::Short;
    }

    /// A read has found nothing.
    pub(super) fn emptied(&mut self) {
        self.readable = false;
        if self.until == ReadUntil::Empty {
            self.until = ReadUntil::USUAL;
        }
    }

    pub(super) fn read_until(&mut self, until: ReadUntil) {
        self.until = self.until.max(until);
    }
}
