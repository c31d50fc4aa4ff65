//! One poller owns its listeners and connections outright. A driver asks it to wait, to take a
//! turn, and to flush; nothing above knows which driver that is.

mod acceptor;
mod armed;
mod command;
mod commands;
mod deal;
mod dealt;
mod dialing;
mod endpoint;
mod handle;
mod inbox;
mod listening;
mod message;
mod slots;
mod submission;
mod transfer;
mod turn;

pub use command::{Asked, Command, CommandSource, CommandWords};
pub use deal::{Dealer, LoadBalance};
pub use dealt::{Dealt, Load};
pub use handle::{PollerHandle, PollerWaker};
pub use message::{PollerMessage, Visit};
pub use turn::Poller;

pub use crate::id::Id;
