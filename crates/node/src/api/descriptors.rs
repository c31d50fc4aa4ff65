//! Descriptors that come from elsewhere, or go there.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use napi_derive::napi;
use netpoll_core::Id;
use netpoll_core::listener::Listener;

use crate::api::event_loop::{EventLoop, NativeId, Outcome, errno};
use crate::api::load_balancer::ConnectionBalancer;
use crate::api::options::ConnectionSettings;

/// Either a descriptor, or the system's error number.
#[napi(object)]
pub struct DetachOutcome {
    /// The descriptor, which is the caller's now.
    pub fd: Option<i32>,
    /// The system's error number.
    pub errno: Option<i32>,
}

#[napi]
impl EventLoop {
    /// Takes over a descriptor that listens already. Refused, it is left to the caller. Otherwise as `listen`.
    #[napi]
    pub fn adopt(
        &self,
        descriptor: i32,
        settings: &ConnectionSettings,
        tag: u32,
        balancer: Option<&ConnectionBalancer>,
    ) -> Outcome {
        let settings = settings.0.clone();
        let balancer = balancer.and_then(ConnectionBalancer::balancer);
        self.attempt(move |poller| {
            given(descriptor, |given| match balancer {
                None => poller.adopt(given, settings, tag),
                Some(balancer) => poller.attend_for(Listener::adopt(given)?, balancer),
            })
        })
    }

    /// Takes over the descriptor of a connected stream socket, as an open connection. Refused, it is left to
    /// the caller: `ENOTSOCK`, `ENOTCONN`, `EINVAL` for another kind of socket.
    #[napi]
    pub fn adopt_stream(&self, descriptor: i32, settings: &ConnectionSettings) -> Outcome {
        let settings = settings.0.clone();
        let outcome = self
            .attempt(move |poller| given(descriptor, |given| poller.adopt_stream(given, settings)));
        self.driver().carry_out();
        outcome
    }

    /// Gives the descriptor of a connection away, in non-blocking mode, after what commands have
    /// asked for before. No further record tells of it. `EAGAIN` while bytes wait to be sent, or
    /// have been read and not been handed over. `ENOTCONN` where it is not open. Either leaves it
    /// as it is.
    #[napi]
    pub fn detach(&self, id: NativeId) -> DetachOutcome {
        self.driver().carry_out();
        let id: Id = id.into();
        let is_delivering = self.driver().delivery_check(id.slot);
        let result = self.driver().ask(move |poller| {
            // Asked where nothing more can come: on the poller's own thread.
            if is_delivering() {
                return Err(io::Error::from_raw_os_error(libc::EAGAIN));
            }
            poller.detach(id)
        });
        let gone = || Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        match result.unwrap_or_else(gone) {
            Ok(descriptor) => DetachOutcome {
                fd: Some(descriptor.into_raw_fd()),
                errno: None,
            },
            Err(error) => DetachOutcome {
                fd: None,
                errno: Some(errno(&error)),
            },
        }
    }
}

/// Has `adopt` duplicate what JavaScript gives away, which is closed then. Refused, it is left alone.
fn given(descriptor: i32, adopt: impl FnOnce(BorrowedFd<'_>) -> io::Result<Id>) -> io::Result<Id> {
    // SAFETY: asking for the flags of a number that is no descriptor is an error and nothing else.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open, as was just seen. JavaScript, which waits for this, gives it away. No other
    // owner is told of it before it is either duplicated and closed or handed back.
    let given = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let result = adopt(given.as_fd());
    if result.is_ok() {
        drop(ManuallyDrop::into_inner(given));
    }
    result
}
