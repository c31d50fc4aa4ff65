//! The program as its users run it. One test binary, because all of it shares
//! what is in `support`.

mod churn;
mod client_and_server;
mod http;
mod slow;
mod support;
mod tls;
mod transfer;
