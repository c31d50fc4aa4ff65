//! Pools of workers, which threads find by number.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;

use napi::bindgen_prelude::{Function, Object};
use napi::{Env, JsValue};
use napi_derive::napi;
use netpoll_core::work::{Assignment, WorkSettings, WorkerPools, Workers};

use crate::clean_up::{CleanUp, EndsWithEnvironment};
use crate::drivers::waker::{EventLoopWaker, Woken};
use crate::javascript::{JavaScript, Procedure};

static POOLS: LazyLock<WorkerPools> = LazyLock::new(WorkerPools::default);

/// The pool of that number, until it is closed.
pub fn find(number: u32) -> Option<Workers> {
    POOLS.find(number)
}

/// What a pool is made with.
#[napi(object)]
pub struct WorkPoolOptions {
    /// `'leastOutstanding'`, `'roundRobin'` or `'sticky'`.
    pub assignment: String,
    /// Requests that a worker has at once.
    pub concurrency: u32,
    /// Requests that may wait for a worker.
    pub max_queued: u32,
    /// Workers that do not retire.
    pub min_workers: u32,
}

/// What a pool has done and holds.
#[napi(object)]
pub struct WorkPoolStats {
    /// Workers now.
    pub workers: u32,
    /// Requests that wait for a worker.
    pub queued: u32,
    /// Requests that workers have.
    pub running: u32,
    /// Requests since the start.
    pub submitted: f64,
}

/// What a pool calls.
#[napi(object, object_to_js = false)]
pub struct WorkPoolCallbacks<'env> {
    /// `this` of the other.
    pub receiver: Object<'env>,
    /// Requests wait, and every worker is busy. Called once until a worker comes or goes.
    pub grow: Function<'env, (), ()>,
}

struct Growth {
    javascript: JavaScript,
    grow: Procedure,
}

impl Woken for Growth {
    fn woken(&self) {
        self.javascript
            .scoped(|| self.javascript.enter(&self.grow, &[]));
    }

    fn failed(&self, failure: &str) {
        self.javascript.scoped(|| self.javascript.fatal(failure));
    }
}

/// A pool of workers, as the thread that starts them sees it.
#[napi]
pub struct WorkPool {
    pub(crate) workers: Workers,
    ending: Rc<Ending>,
}

/// What ends with the pool, or with the environment of its owner.
struct Ending {
    waker: EventLoopWaker,
    number: u32,
    /// Lives as long as a thread may wake.
    growth: Cell<Option<Rc<Growth>>>,
    clean_up: Cell<Option<CleanUp<Self>>>,
}

impl EndsWithEnvironment for Ending {
    fn environment_ends(&self) {
        self.clean_up.set(None);
        self.waker.close();
        drop(self.growth.take());
        POOLS.close(self.number);
    }
}

#[napi]
impl WorkPool {
    /// Without workers.
    ///
    /// @throws when there is no such assignment
    #[napi(constructor)]
    pub fn new(
        env: Env,
        options: WorkPoolOptions,
        callbacks: WorkPoolCallbacks<'_>,
    ) -> napi::Result<Self> {
        let settings = WorkSettings {
            assignment: match options.assignment.as_str() {
                "leastOutstanding" => Assignment::LeastOutstanding,
                "roundRobin" => Assignment::RoundRobin,
                "sticky" => Assignment::Sticky,
                _ => return Err(napi::Error::from_reason("not an assignment")),
            },
            concurrency: options.concurrency.max(1) as usize,
            max_queued: options.max_queued as usize,
            min_workers: options.min_workers as usize,
        };
        let receiver = callbacks.receiver.raw();
        let growth = Rc::new(Growth {
            javascript: JavaScript::new(env, receiver)?,
            grow: Procedure::hold(env, callbacks.grow.raw())?,
        });
        let waker = EventLoopWaker::install(env, receiver, Rc::downgrade(&growth))?;
        let workers = Workers::new(settings, Box::new(waker.clone()));
        let number = POOLS.add(workers.clone());
        let ending = Rc::new(Ending {
            waker: waker.clone(),
            number,
            growth: Cell::new(Some(growth)),
            clean_up: Cell::default(),
        });
        let clean_up = CleanUp::add(env, &ending);
        if clean_up.is_none() {
            waker.close();
            POOLS.close(number);
            return Err(napi::Error::from_reason("the environment is ending"));
        }
        ending.clean_up.set(clean_up);
        Ok(Self { workers, ending })
    }

    /// What workers find the pool by.
    #[napi(getter)]
    pub fn number(&self) -> u32 {
        self.ending.number
    }

    /// Takes no further request, and gives up those that no worker has.
    #[napi]
    pub fn close(&self) {
        POOLS.close(self.ending.number);
        // No thread wakes any more, and no JavaScript value is kept.
        self.ending.waker.dismiss();
        drop(self.ending.growth.take());
        if let Some(clean_up) = self.ending.clean_up.take() {
            clean_up.remove();
        }
    }

    /// The pool now.
    #[napi]
    pub fn stats(&self) -> WorkPoolStats {
        let stats = self.workers.stats();
        WorkPoolStats {
            workers: stats.workers as u32,
            queued: stats.queued as u32,
            running: stats.running as u32,
            submitted: stats.submitted as f64,
        }
    }
}
