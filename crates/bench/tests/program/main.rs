//! The program as its users run it. One test binary, because all of it shares
//! what is in `support`.

mod client_and_server;
mod http;
mod support;
mod transfer;
