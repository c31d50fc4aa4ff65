//! What the core does, a line each on stderr, where it is built with the feature `trace`. The lines
//! tell of transitions of connections, accepts, and closes with their reason. Without the feature
//! nothing of it is left in the program.

use crate::id::Id;

/// Whether it is built in.
pub(crate) const IS_ON: bool = cfg!(feature = "trace");

/// The connection that lines are about. It has no size where there are none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject {
    #[cfg(feature = "trace")]
    id: Option<Id>,
}

/// Writes a line, formatted as by `format!`, about a [`Subject`].
macro_rules! trace {
    ($subject:expr, $($text:tt)*) => {
        if $crate::trace::IS_ON {
            $subject.write(format_args!($($text)*));
        }
    };
}
pub(crate) use trace;

impl Subject {
    /// Lines are about the connection of that id.
    #[cfg(feature = "trace")]
    pub(crate) fn named(id: Id) -> Self {
        Self { id: Some(id) }
    }

    /// Lines are about the connection of that id.
    #[cfg(not(feature = "trace"))]
    pub(crate) fn named(_id: Id) -> Self {
        Self {}
    }

    #[cfg(feature = "trace")]
    fn name(self) -> String {
        self.id.map_or_else(String::new, |Id { slot, generation }| {
            format!("connection {slot}.{generation} ")
        })
    }

    #[cfg(not(feature = "trace"))]
    fn name(self) -> String {
        String::new()
    }

    /// What cannot be written is lost: a trace ends nothing.
    #[cold]
    pub(crate) fn write(self, line: std::fmt::Arguments<'_>) {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), "netpoll: {}{line}", self.name());
    }
}
