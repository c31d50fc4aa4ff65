//! Which member gets the connections that a listener accepts.

use std::cell::RefCell;

use napi_derive::napi;
use netpoll_core::{LoadBalance, LoadBalancer};

use crate::api::event_loop::EventLoop;
use crate::api::options::ConnectionSettings;

/// As JavaScript names it.
pub fn parse_balance(name: &str) -> napi::Result<LoadBalance> {
    Ok(match name {
        "roundRobin" => LoadBalance::RoundRobin,
        "random" => LoadBalance::Random,
        "leastConnections" => LoadBalance::LeastConnections,
        _ => return Err(napi::Error::from_reason("not a way to balance")),
    })
}

/// Assigns connections to pollers.
#[napi]
pub struct ConnectionBalancer(RefCell<Option<LoadBalancer>>);

impl ConnectionBalancer {
    /// For a listener, which has it from then on; `None` once it was let go of.
    pub(crate) fn balancer(&self) -> Option<LoadBalancer> {
        self.0.borrow().clone()
    }
}

#[napi]
impl ConnectionBalancer {
    /// Without pollers.
    ///
    /// @throws when there is no such balance
    #[napi(constructor)]
    pub fn new(
        #[napi(ts_arg_type = "'roundRobin' | 'random' | 'leastConnections'")] balance: String,
    ) -> napi::Result<Self> {
        let balancer = LoadBalancer::new(parse_balance(&balance)?);
        Ok(Self(RefCell::new(Some(balancer))))
    }

    /// From now on that poller gets its part. Its records of these connections say `tag`.
    #[napi]
    pub fn join(&self, event_loop: &EventLoop, settings: &ConnectionSettings, tag: u32) {
        if let (Some(balancer), Some(handle)) = (self.balancer(), event_loop.driver().handle()) {
            balancer.join(handle, settings.0.clone(), tag);
        }
    }

    /// Leaves it to the listeners that have it: until this object is collected, it would keep a descriptor of each poller.
    #[napi]
    pub fn release(&self) {
        drop(self.0.borrow_mut().take());
    }
}
