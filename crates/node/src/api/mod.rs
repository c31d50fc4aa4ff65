//! What JavaScript calls, and its options, turned into the core's checked forms.

mod descriptors;
pub mod event_loop;
mod framing;
pub mod load_balancer;
pub mod options;
mod secure_context;
mod shared_listener;
pub mod work_pool;
