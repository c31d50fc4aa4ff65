//! How many records the keys of a connection may still encrypt.
//!
//! AES-GCM is safe for 2^24 records with one key. TLS 1.3 makes new keys before, and TLS 1.2 cannot. A connection is announced
//! as worn out while there is time to bring to an end what goes on with it.

/// The most records that one key of AES-GCM encrypts.
pub(super) const AES_GCM_RECORDS: u64 = 1 << 24;

/// Which end counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It knows of no better time, so that it goes first: also for the sake of the server's keys.
    Client,
    /// A client may know when nothing goes on. So it has time until shortly before the end.
    Server,
}

/// The records of one connection.
#[derive(Debug)]
pub(super) struct Wear {
    end: End,
    limit: u64,
    encrypted: u64,
    decrypted: u64,
    is_told: bool,
}

impl Wear {
    /// None yet, and no limit before [`Self::limit`].
    pub(super) fn of(end: End) -> Self {
        Self {
            end,
            limit: u64::MAX,
            encrypted: 0,
            decrypted: 0,
            is_told: false,
        }
    }

    /// Keys encrypt at most so many records.
    pub(super) fn limit(&mut self, records: u64) {
        self.limit = records;
    }

    pub(super) fn encrypted(&mut self) {
        self.encrypted += 1;
    }

    pub(super) fn decrypted(&mut self) {
        self.decrypted += 1;
    }

    /// Whether that is to be told: once.
    pub(super) fn take_news(&mut self) -> bool {
        let (used, reserve) = match self.end {
            End::Client => (self.encrypted.max(self.decrypted), self.limit / 16),
            End::Server => (self.encrypted, self.limit / 64),
        };
        let is_worn = used >= self.limit - reserve;
        is_worn && !std::mem::replace(&mut self.is_told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_goes_first_whichever_end_has_sent() {
        for sends in [Wear::encrypted, Wear::decrypted] {
            let mut client = Wear::of(End::Client);
            client.limit(160);
            (0..149).for_each(|_| sends(&mut client));
            assert!(!client.take_news());
            sends(&mut client);
            assert!(client.take_news());
            assert!(!client.take_news(), "told once");
        }
        let mut server = Wear::of(End::Server);
        server.limit(640);
        (0..700).for_each(|_| server.decrypted());
        (0..629).for_each(|_| server.encrypted());
        assert!(!server.take_news());
        server.encrypted();
        assert!(server.take_news());
    }
}
