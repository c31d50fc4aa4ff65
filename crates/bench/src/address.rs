//! Where a server listens: a TCP address or the path of a unix socket.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

/// Reads `host:port`, where the host may be a name.
pub fn parse_tcp(text: &str) -> Result<SocketAddr, String> {
    let mut resolved = text
        .to_socket_addrs()
        .map_err(|error| format!("expected HOST:PORT such as 127.0.0.1:8000 ({error})"))?;
    resolved
        .next()
        .ok_or_else(|| format!("{text} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_ip_addresses() {
        for text in ["127.0.0.1:8000", "[::1]:0"] {
            let address = parse_tcp(text)
                .map(Address::Tcp)
                .map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(text));
        }
    }

    #[test]
    fn refuses_an_address_without_port() {
        assert!(parse_tcp("127.0.0.1").is_err_and(|message| message.contains("HOST:PORT")));
    }

    #[test]
    fn prints_a_path_as_it_is() {
        assert_eq!(
            Address::Unix("/run/app.sock".into()).to_string(),
            "/run/app.sock"
        );
    }
}
