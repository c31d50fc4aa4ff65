//! Options of messages: what requests look like, and what is expected of the replies.

use anyhow::{Result, bail};
use clap::Args;

use crate::client::connect::Acceptance;
use crate::client::frames::{Comparison, Order, Shape};
use crate::reply::Reply;

/// What messages look like.
#[derive(Debug, Args)]
pub struct MessageOptions {
    /// Bytes of payload in each request.
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    pub size: usize,
    /// Bytes of the big-endian length before the payload: 1, 2, 3, 4 or 8.
    #[arg(long, value_name = "BYTES", default_value = "4", value_parser = parse_length_size)]
    pub length_size: usize,
    /// What the server's reply is beside its request.
    #[arg(long, value_enum, default_value_t = Reply::Echo)]
    pub reply: Reply,
}

impl MessageOptions {
    /// How it is known that a server has accepted a connection.
    pub fn acceptance(&self) -> Acceptance {
        Acceptance::Replied {
            length_size: self.length_size,
            reply: self.reply,
        }
    }

    /// What requests look like, and what is expected of the replies.
    pub fn shape(&self, order: Order, comparison: Comparison) -> Shape {
        Shape {
            length_size: self.length_size,
            payload_size: self.size,
            reply: self.reply,
            order,
            comparison,
        }
    }

    /// Refuses what cannot be sent.
    pub fn check(&self) -> Result<()> {
        let bits = 8 * self.length_size;
        if bits < usize::BITS as usize && self.size >> bits != 0 {
            bail!(
                "a length of {} bytes cannot say {}",
                self.length_size,
                self.size
            );
        }
        Ok(())
    }
}

fn parse_length_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size @ (1 | 2 | 3 | 4 | 8)) => Ok(size),
        _ => Err("expected 1, 2, 3, 4 or 8".into()),
    }
}
