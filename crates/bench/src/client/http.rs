//! HTTP/1.1 as far as a load needs it. The same `GET` request goes out over and
//! over, one at a time on each connection, and responses say their length.
//!
//! What a fast, well-behaved server does not send is refused rather than coped
//! with. That is another status than 200, a chunked body, no or two lengths, or
//! a connection that is not kept.

use super::exchange::Exchange;
use super::failure::{Failure, Kind};

/// More than the heads of responses that are measured.
const LONGEST_HEAD: usize = 16 * 1024;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The requests of one connection.
#[derive(Debug)]
pub struct Http {
    request: Box<[u8]>,
    /// Bytes of the request that are sent; all of them while none is in flight.
    sent: usize,
    awaited: Awaited,
    /// The part of a head that has come while the rest has not.
    partial: Vec<u8>,
    responses: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// No request is in flight.
    Nothing,
    /// The head of a response, or the rest of it.
    Head,
    /// So many bytes of a body.
    Body(u64),
}

impl Http {
    /// An exchange that asks `host` for `path`.
    pub fn new(host: &str, path: &str) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        let request = request.into_bytes().into_boxed_slice();
        Self {
            sent: request.len(),
            request,
            awaited: Awaited::Nothing,
            partial: Vec::new(),
            responses: 0,
        }
    }

    /// Takes the head, or its next part, off `bytes`, and returns what follows it.
    fn receive_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        let known = self.partial.len();
        let (length, rest) = if known == 0 {
            match end_of_head(bytes) {
                Some(end) => (parse_head(&bytes[..end]), &bytes[end..]),
                None => return self.keep(bytes),
            }
        } else {
            self.partial.extend_from_slice(bytes);
            let Some(end) = end_of_head(&self.partial) else {
                return self.keep(&[]);
            };
            let length = parse_head(&self.partial[..end]);
            self.partial.clear();
            (length, &bytes[end - known..])
        };
        self.awaited = Awaited::Body(length.map_err(|reason| self.mismatch(reason))?);
        Ok(rest)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<&'static [u8], Failure> {
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > LONGEST_HEAD {
            return Err(self.mismatch("its head does not end"));
        }
        Ok(&[])
    }

    fn mismatch(&self, reason: &str) -> Failure {
        Failure::new(
            Kind::Mismatch,
            format!("response {}: {reason}", self.responses),
        )
    }
}

impl Exchange for Http {
    type Mismatch = Failure;

    fn in_flight(&self) -> usize {
        1 - self.free()
    }

    fn free(&self) -> usize {
        usize::from(self.awaited == Awaited::Nothing)
    }

    fn oldest(&self) -> Option<usize> {
        (self.awaited != Awaited::Nothing).then_some(0)
    }

    fn received(&self) -> usize {
        self.partial.len()
    }

    fn queue(&mut self) -> usize {
        debug_assert_eq!(self.awaited, Awaited::Nothing, "one request at a time");
        self.awaited = Awaited::Head;
        self.sent = 0;
        0
    }

    fn has_unsent(&self) -> bool {
        self.sent < self.request.len()
    }

    fn unsent(&self) -> [&[u8]; 2] {
        [&self.request[self.sent..], &[]]
    }

    fn sent(&mut self, length: usize) {
        self.sent += length;
    }

    fn receive(
        &mut self,
        mut bytes: &[u8],
        mut answered: impl FnMut(usize),
    ) -> Result<(), Failure> {
        while !bytes.is_empty() {
            match self.awaited {
                Awaited::Nothing => {
                    return Err(self.mismatch("bytes came while no request was in flight"));
                }
                Awaited::Head => bytes = self.receive_head(bytes)?,
                Awaited::Body(left) => {
                    let part = left.min(bytes.len() as u64);
                    bytes = &bytes[part as usize..];
                    self.awaited = Awaited::Body(left - part);
                }
            }
            if self.awaited == Awaited::Body(0) {
                self.awaited = Awaited::Nothing;
                self.responses += 1;
                answered(0);
            }
        }
        Ok(())
    }
}

/// Where the body begins.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(END_OF_HEAD.len())
        .position(|window| window == END_OF_HEAD)
        .map(|start| start + END_OF_HEAD.len())
}

/// Bytes of the body, from a head with its empty line.
fn parse_head(head: &[u8]) -> Result<u64, &'static str> {
    let head = str::from_utf8(head).map_err(|_| "its head is no text")?;
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    if !lines
        .next()
        .is_some_and(|status| status.starts_with("HTTP/1.1 200 "))
    {
        return Err("its status is not 200 of HTTP/1.1");
    }
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a header has no value")?;
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("content-length") {
            if length.replace(parse_length(value)?).is_some() {
                return Err("it says its length twice");
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("its body is encoded");
        } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
            return Err("it closes the connection");
        }
    }
    length.ok_or("it does not say its length")
}

fn parse_length(text: &str) -> Result<u64, &'static str> {
    // A sign, which the parser of numbers takes, is no part of a length.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its length is no number");
    }
    text.parse().map_err(|_| "its length is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &[u8] =
        b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello";

    #[test]
    fn a_request_is_sent_as_the_protocol_wants_it() {
        let mut http = Http::new("127.0.0.1:80", "/a");
        assert!(!http.has_unsent());
        assert_eq!((http.free(), http.queue(), http.free()), (1, 0, 0));
        let expected = b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAccept: */*\r\n\r\n";
        assert_eq!(http.unsent()[0], expected);
        http.sent(4);
        assert_eq!(http.unsent()[0], &expected[4..]);
        http.sent(expected.len() - 4);
        assert!(!http.has_unsent());
    }

    #[test]
    fn a_response_may_be_split_at_every_offset() -> Result<(), Failure> {
        for middle in 0..=RESPONSE.len() {
            let mut http = Http::new("host", "/");
            for _ in 0..2 {
                http.queue();
                let mut answers = 0;
                http.receive(&RESPONSE[..middle], |_| answers += 1)?;
                assert_eq!(answers, usize::from(middle == RESPONSE.len()));
                http.receive(&RESPONSE[middle..], |_| answers += 1)?;
                assert_eq!((answers, http.in_flight()), (1, 0));
            }
        }
        Ok(())
    }

    #[test]
    fn a_response_may_be_empty() -> Result<(), Failure> {
        let mut http = Http::new("host", "/");
        http.queue();
        let mut answers = 0;
        http.receive(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", |_| {
            answers += 1;
        })?;
        assert_eq!((answers, http.in_flight()), (1, 0));
        Ok(())
    }

    #[test]
    fn what_the_load_does_not_measure_is_refused() {
        for head in [
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length 5\r\n\r\n",
        ] {
            let mut http = Http::new("host", "/");
            http.queue();
            assert!(http.receive(head.as_bytes(), |_| {}).is_err(), "{head}");
        }
    }

    #[test]
    fn bytes_that_no_request_asked_for_are_refused() -> Result<(), Failure> {
        let mut http = Http::new("host", "/");
        assert!(http.receive(RESPONSE, |_| {}).is_err());
        http.queue();
        http.receive(RESPONSE, |_| {})?;
        assert!(http.receive(b"x", |_| {}).is_err());
        Ok(())
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let mut http = Http::new("host", "/");
        http.queue();
        let endless = vec![b'a'; LONGEST_HEAD + 1];
        assert!(http.receive(&endless, |_| {}).is_err());
    }
}
