//! A peer may say within a handshake that it ends TLS, which the library takes for a word without a meaning.
//!
//! In TLS 1.2 it may be encrypted: once keys are there, and before the handshake is done. What it says is the library's alone.
//! It tells of fatal alerts, and what else comes there announces an end: close_notify, or user_canceled before it.

/// Bytes before the content of a record: its type, a version, a length.
const HEADER: usize = 5;
const ALERT: u8 = 21;
/// The content of an alert that is not encrypted: its level, and what it says.
const ALERT_LENGTH: usize = 2;
const CLOSE_NOTIFY: u8 = 0;

/// Looks for that word among the records that come, however they are cut. Each session keeps it as long as it lives, so it is
/// small.
#[derive(Default)]
pub(super) struct CloseNotify {
    /// The record that has begun, as far as this needs it.
    record: [u8; HEADER + ALERT_LENGTH],
    known: u8,
    /// Bytes of another record that are still to come.
    passing: u16,
    /// Whether that is an alert which is encrypted.
    passes_alert: bool,
    has_come: bool,
}

impl CloseNotify {
    /// Whether the peer has said it.
    pub(super) fn has_come(&self) -> bool {
        self.has_come
    }

    /// What comes next.
    pub(super) fn look_at(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = bytes.len().min(usize::from(self.passing));
            self.passing -= passed as u16;
            bytes = &bytes[passed..];
            self.has_come |= self.passing == 0 && std::mem::take(&mut self.passes_alert);
            let wanted = match self.is_alert() {
                true => self.record.len(),
                false => HEADER,
            };
            let before = usize::from(self.known);
            let taken = (wanted - before).min(bytes.len());
            let (known, rest) = bytes.split_at(taken);
            self.record[before..][..taken].copy_from_slice(known);
            self.known += taken as u8;
            bytes = rest;
            self.end_record();
        }
    }

    fn end_record(&mut self) {
        let known = usize::from(self.known);
        if known == self.record.len() {
            self.has_come |= self.record[self.record.len() - 1] == CLOSE_NOTIFY;
            self.known = 0;
        } else if known == HEADER && !self.is_alert() {
            self.passing = self.length();
            self.passes_alert = self.record[0] == ALERT && self.passing > 0;
            self.known = 0;
        }
    }

    fn is_alert(&self) -> bool {
        usize::from(self.known) >= HEADER
            && self.record[0] == ALERT
            && usize::from(self.length()) == ALERT_LENGTH
    }

    fn length(&self) -> u16 {
        let [_, _, _, high, low, ..] = self.record;
        u16::from_be_bytes([high, low])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: [u8; 7] = [21, 3, 3, 0, 2, 1, 0];
    const OTHER: [u8; 7] = [21, 3, 3, 0, 2, 1, 90];
    /// Its content looks like the word.
    const MESSAGE: [u8; 12] = [22, 3, 1, 0, 7, 21, 3, 3, 0, 2, 1, 0];
    const EMPTY: [u8; 5] = [20, 3, 3, 0, 0];
    const ENCRYPTED: [u8; 8] = [21, 3, 3, 0, 3, 1, 90, 0];

    fn has_come(bytes: &[u8], piece: usize) -> bool {
        let mut looked = CloseNotify::default();
        bytes.chunks(piece).for_each(|part| looked.look_at(part));
        looked.has_come()
    }

    #[test]
    fn it_is_found_where_it_is_a_record() {
        let others = [&MESSAGE[..], &OTHER, &EMPTY];
        let before = others.concat();
        for piece in 1..60 {
            assert!(has_come(&CLOSE, piece));
            assert!(!has_come(&before, piece));
            assert!(has_come(&[&before[..], &CLOSE].concat(), piece));
            assert!(has_come(&[&CLOSE, &before[..]].concat(), piece));
            assert!(!has_come(&CLOSE[..6], piece));
            assert!(has_come(&[&before[..], &ENCRYPTED].concat(), piece));
            assert!(has_come(&[&ENCRYPTED, &before[..]].concat(), piece));
            assert!(!has_come(&ENCRYPTED[..7], piece));
        }
    }
}
