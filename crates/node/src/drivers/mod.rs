//! What runs a poller for an environment: its own event loop, or a thread.

pub mod inline;
pub mod libuv;
pub mod nested_turns;
mod referenced;
pub mod thread;
pub mod waker;
mod worker;

use std::rc::Rc;
use std::time::Duration;

use netpoll_core::{Id, Poller, PollerHandle};

pub use self::referenced::Referenced;

use crate::drivers::inline::InlineDriver;
use crate::drivers::thread::ThreadDriver;

/// One of them. Nothing above asks which.
pub enum Driver {
    /// In the environment's event loop.
    Inline(Rc<InlineDriver>),
    /// On a thread of its own.
    Thread(Rc<ThreadDriver>),
    /// None any more.
    Ended,
}

impl Driver {
    /// Asks the poller something, after what was asked of it before, and waits for the answer. `None` when it is gone,
    /// because the environment ends or it has failed.
    pub fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Poller) -> R + Send + 'static,
    ) -> Option<R> {
        match self {
            Self::Inline(driver) => driver.ask(question),
            Self::Thread(driver) => driver.handle().ask(question),
            Self::Ended => None,
        }
    }

    /// As [`Self::ask`], without waiting for a thread longer than `limit`. What was asked happens all the same, later.
    pub fn ask_within(&self, limit: Duration, question: impl FnOnce(&mut Poller) + Send + 'static) {
        match self {
            Self::Inline(driver) => {
                driver.ask(question);
            }
            Self::Thread(driver) => driver.handle().ask_within(limit, question),
            Self::Ended => {}
        }
    }

    /// Has what JavaScript has asked for in the shared words carried out.
    pub fn carry_out(&self) {
        match self {
            Self::Inline(driver) => driver.carry_out(),
            Self::Thread(driver) => driver.carry_out(),
            Self::Ended => {}
        }
    }

    /// See [`InlineDriver::send_at_once`]. A poller on a thread never gets the user's memory: then nothing leaves.
    pub fn send_at_once(&self, id: Id, bytes: &[u8]) -> usize {
        match self {
            Self::Inline(driver) => driver.send_at_once(id, bytes),
            Self::Thread(_) | Self::Ended => 0,
        }
    }

    /// As [`Self::carry_out`], between two of JavaScript's tasks.
    pub fn flush(&self) {
        match self {
            Self::Inline(driver) => driver.carry_out(),
            Self::Thread(driver) => driver.flush(),
            Self::Ended => {}
        }
    }

    /// Tells whether records about `slot` are on their way to JavaScript.
    pub fn delivery_check(&self, slot: u32) -> Box<dyn FnOnce() -> bool + Send> {
        match self {
            // They are where JavaScript looks for them itself.
            Self::Inline(_) | Self::Ended => Box::new(|| false),
            Self::Thread(driver) => driver.delivery_check(slot),
        }
    }

    /// Ends the poller before its environment ends, which must have nothing open. False where JavaScript has not come to all
    /// that it is to be told: then it goes on.
    pub fn end(&self) -> bool {
        match self {
            Self::Inline(driver) => driver.end(),
            Self::Thread(driver) => driver.end(),
            Self::Ended => true,
        }
    }

    /// How other threads reach the poller; `None` when the environment is ending.
    pub fn handle(&self) -> Option<PollerHandle> {
        match self {
            Self::Inline(driver) => driver.ask(|poller| poller.handle()),
            Self::Thread(driver) => Some(driver.handle().clone()),
            Self::Ended => None,
        }
    }

    /// Keeps the event loop alive, or no longer.
    pub fn set_referenced(&self, referenced: Referenced) {
        match self {
            Self::Inline(driver) => driver.set_referenced(referenced),
            Self::Thread(driver) => driver.set_referenced(referenced),
            Self::Ended => {}
        }
    }
}
