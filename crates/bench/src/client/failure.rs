//! What can go wrong with a connection, counted by kind.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde::Serialize;

use super::frames::Mismatch;

/// The kinds of error a run can meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No server listens there.
    Refused,
    /// The connection could not be opened for another reason.
    Connect,
    /// The peer reset the connection.
    Reset,
    /// The peer closed the connection while it was in use.
    Closed,
    /// A reply was not its request.
    Mismatch,
    /// A reply came after its request's time limit, or not within it.
    TimedOut,
    /// No reply came for too long.
    Stalled,
    /// A session of TLS was to be resumed and was not.
    NotResumed,
    /// Any other error of a socket.
    Socket,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Refused => "connection refused",
            Self::Connect => "connection failed",
            Self::Reset => "connection reset",
            Self::Closed => "connection closed by the server",
            Self::Mismatch => "reply does not match",
            Self::TimedOut => "request timed out",
            Self::Stalled => "no reply",
            Self::NotResumed => "session not resumed",
            Self::Socket => "socket error",
        })
    }
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which kind.
    pub kind: Kind,
    /// What exactly, for people.
    pub detail: String,
}

impl Failure {
    /// A failure of `kind`.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// A failure to open a connection.
    pub fn connecting(error: &io::Error) -> Self {
        let kind = match error.kind() {
            // A missing unix socket is refused in all but name.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Kind::Refused,
            _ => Kind::Connect,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Kind::Reset,
            io::ErrorKind::UnexpectedEof => Kind::Closed,
            _ => Kind::Socket,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<Mismatch> for Failure {
    fn from(mismatch: Mismatch) -> Self {
        Self::new(Kind::Mismatch, mismatch.to_string())
    }
}

/// All failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Which kind.
    pub kind: Kind,
    /// How many.
    pub count: u64,
    /// What exactly the first one was.
    pub first: String,
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {} × (first: {})",
            self.kind, self.count, self.first
        )
    }
}

/// The failures of a run.
#[derive(Debug, Default)]
pub struct Failures(BTreeMap<Kind, (u64, String)>);

impl Failures {
    /// Adds one.
    pub fn add(&mut self, failure: Failure) {
        self.0.entry(failure.kind).or_insert((0, failure.detail)).0 += 1;
    }

    /// One count for each kind that occurred.
    pub fn counts(self) -> Vec<Count> {
        self.0
            .into_iter()
            .map(|(kind, (count, first))| Count { kind, count, first })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_and_the_first_is_told() {
        let mut failures = Failures::default();
        failures.add(Failure::new(Kind::Closed, "after 3 replies"));
        failures.add(Failure::from(io::Error::from(
            io::ErrorKind::ConnectionReset,
        )));
        failures.add(Failure::new(Kind::Closed, "after 5 replies"));
        let lines: Vec<_> = failures.counts().iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("connection reset: 1 × "));
        assert_eq!(
            lines[1],
            "connection closed by the server: 2 × (first: after 3 replies)"
        );
    }
}
