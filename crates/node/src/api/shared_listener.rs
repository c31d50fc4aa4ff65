//! One server's part of a socket that servers of several threads share: see `netpoll_core::shared_listeners`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::LazyLock;

use napi::Env;
use napi_derive::napi;
use netpoll_core::SharedListeners;
use netpoll_core::shared_listeners::Membership;

use crate::api::event_loop::{EventLoop, errno};
use crate::api::load_balancer::parse_balance;
use crate::api::options::{ConnectionSettings, ListenPlace, SocketAddress};
use crate::clean_up::{CleanUp, EndsWithEnvironment};
use crate::memory::chunk_pool;

/// Those of the process.
static LISTENERS: LazyLock<SharedListeners> =
    LazyLock::new(|| SharedListeners::new(chunk_pool().clone()));

/// What [`SharedListener::join`] gives.
#[napi(object)]
pub struct JoinOutcome {
    /// The system's error number; `undefined` for success.
    pub errno: Option<i32>,
}

/// What there is of it until it leaves, or its environment ends.
#[derive(Default)]
struct Part {
    member: RefCell<Option<Membership>>,
    clean_up: Cell<Option<CleanUp<Self>>>,
}

impl Part {
    fn leave(&self) -> bool {
        let member = self.member.take();
        member.is_some_and(|member| LISTENERS.leave(member))
    }
}

impl EndsWithEnvironment for Part {
    fn environment_ends(&self) {
        self.clean_up.set(None);
        self.leave();
    }
}

/// One server's part of a shared socket.
#[napi]
pub struct SharedListener(Rc<Part>);

#[napi]
impl SharedListener {
    /// A part of nothing yet. It ends with the environment at the latest.
    #[napi(constructor)]
    pub fn new(env: Env) -> napi::Result<Self> {
        let part = Rc::new(Part::default());
        let clean_up = CleanUp::add(env, &part)
            .ok_or_else(|| napi::Error::from_reason("the environment is ending"))?;
        part.clean_up.set(Some(clean_up));
        Ok(Self(part))
    }

    /// Gets a part of the connections at `place`, whose socket is opened if no server shares it
    /// yet. Then `balance` says which server gets a connection. Records of them say `tag`.
    ///
    /// @throws when the balance is none
    #[napi]
    pub fn join(
        &self,
        place: ListenPlace,
        balance: String,
        event_loop: &EventLoop,
        settings: &ConnectionSettings,
        tag: u32,
    ) -> napi::Result<JoinOutcome> {
        let balance = parse_balance(&balance)?;
        let Some(handle) = event_loop.driver().handle() else {
            return Err(napi::Error::from_reason("the environment is ending"));
        };
        let settings = settings.0.clone();
        let joined = place
            .parse()
            .and_then(|listen| LISTENERS.join(listen, balance, handle, settings, tag));
        Ok(match joined {
            Ok(member) => {
                self.0.member.replace(Some(member));
                JoinOutcome { errno: None }
            }
            Err(error) => JoinOutcome {
                errno: Some(errno(&error)),
            },
        })
    }

    /// Where the socket listens, while this is a part of it.
    #[napi]
    pub fn address(&self) -> Option<SocketAddress> {
        let member = self.0.member.borrow();
        LISTENERS.address(member.as_ref()?).map(SocketAddress::from)
    }

    /// Why no poller accepts at the socket any more; `undefined` while one does.
    #[napi(getter)]
    pub fn failure(&self) -> Option<String> {
        let member = self.0.member.borrow();
        member.as_ref()?.failure().map(str::to_owned)
    }

    /// Gets no further connection. Returns whether that was the last part, and the socket is closed.
    #[napi]
    pub fn leave(&self) -> bool {
        if let Some(clean_up) = self.0.clean_up.take() {
            clean_up.remove();
        }
        self.0.leave()
    }
}
