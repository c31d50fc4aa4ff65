//! Who gets the connections that a listener accepts.

use napi_derive::napi;
use netpoll_core::{Dealer, LoadBalance};

use crate::event_loop::EventLoop;
use crate::options::ConnectionSettings;

/// As JavaScript names it.
pub fn parse_balance(name: &str) -> napi::Result<LoadBalance> {
    Ok(match name {
        "roundRobin" => LoadBalance::RoundRobin,
        "random" => LoadBalance::Random,
        "leastConnections" => LoadBalance::LeastConnections,
        _ => return Err(napi::Error::from_reason("not a way to balance")),
    })
}

/// Deals connections out to pollers.
#[napi]
pub struct ConnectionDealer(pub(crate) Dealer);

#[napi]
impl ConnectionDealer {
    /// Without pollers.
    ///
    /// @throws when there is no such balance
    #[napi(constructor)]
    pub fn new(
        #[napi(ts_arg_type = "'roundRobin' | 'random' | 'leastConnections'")] balance: String,
    ) -> napi::Result<Self> {
        Ok(Self(Dealer::new(parse_balance(&balance)?)))
    }

    /// From now on that poller gets its part. Its records of these connections say `tag`.
    #[napi]
    pub fn join(&self, event_loop: &EventLoop, settings: &ConnectionSettings, tag: u32) {
        if let Some(remote) = event_loop.driver().remote() {
            self.0.join(remote, settings.0.clone(), tag);
        }
    }
}
