//! One poller owns its listeners and connections outright. A driver asks it to wait, to take a
//! turn, and to flush; nothing above knows which driver that is.

mod acceptor;
mod armed;
mod assigned;
mod command;
mod commands;
mod dialing;
mod endpoint;
mod handle;
mod inbox;
mod listening;
mod load_balancer;
mod message;
mod readiness;
mod slots;
mod submission;
mod transfer;
mod transport;
mod turn;

pub use assigned::{AssignedConnection, Load};
pub use command::{Asked, Command, CommandSource, CommandWords};
pub use handle::{PollerHandle, PollerWaker};
pub use load_balancer::{LoadBalance, LoadBalancer};
pub use message::{PollerMessage, Visit};
pub use turn::Poller;

pub use crate::id::Id;
