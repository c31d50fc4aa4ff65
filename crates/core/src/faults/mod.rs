//! Faults of the system, for tests: what a call comes to that no test can make the system do at will. A call that fails, or
//! moves a part of the bytes only, is one that a [`Plan`] of its thread names.
//!
//! Built with the feature `faults` alone, which the add-on does not have. Without it nothing of this is in the program.
//!
//! Sockets are watched by edges. Where the system has nothing, or less than asked, it announces what comes after. So does
//! this layer: after a call that was refused with `EAGAIN`, or cut short, it has the socket announced anew.
//!
//! With the variable `NETPOLL_FAULTS=SEED` every thread begins with [`Plan::OnSockets`]. The name of the thread, which
//! is that of its test, makes another seed of it for each.

#[cfg(feature = "faults")]
mod layer;

#[cfg(feature = "faults")]
pub use layer::{Fault, Injected, Plan, Site, follow};
#[cfg(feature = "faults")]
pub(crate) use layer::{failure, failure_without, read, unwatched, watched, write};

/// Returns what a test has put in the place of a call of the system, if anything.
macro_rules! inject {
    ($outcome:ident at $site:ident $(, $argument:expr)*) => {
        $crate::faults::inject!($outcome($crate::faults::Site::$site $(, $argument)*));
    };
    ($outcome:ident($($argument:expr),*)) => {
        #[cfg(feature = "faults")]
        if let Some(outcome) = $crate::faults::$outcome($($argument),*) {
            return outcome;
        }
    };
}
pub(crate) use inject;
