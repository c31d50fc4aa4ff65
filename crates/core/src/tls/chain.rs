//! What is wrong with a chain of certificates, in the terms of OpenSSL, which are those of Node.js.
//!
//! The library that verifies says that it has found no way to a root. OpenSSL says how far it has come, and goes on: of
//! several faults it reports the last that it meets. It looks for a root first, then at usages, then at times from the root
//! down to the leaf.

use std::ops::RangeInclusive;

pub use crate::protocol::CertificateFault;

// Object identifiers of extensions, 2.5.29.14 and others.
const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
/// It lists usages.
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// Any usage, 2.5.29.37.0.
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

// Bits of what a key may be used for (RFC 5280, 4.2.1.3).
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_ENCIPHERMENT: u8 = 0x20;
const KEY_AGREEMENT: u8 = 0x08;
const CERTIFICATE_SIGN: u8 = 0x04;

const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
/// The identifier of the key, in what tells of the issuer's.
const KEY_IDENTIFIER: u8 = 0x80;
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// What a certificate is shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Server,
    Client,
}

impl Usage {
    /// 1.3.6.1.5.5.7.3.1, or 2.
    fn object_identifier(self) -> [u8; 8] {
        let last = match self {
            Self::Server => 1,
            Self::Client => 2,
        };
        [0x2b, 6, 1, 5, 5, 7, 3, last]
    }

    /// What a leaf's key may be used for, one of which it needs.
    fn of_key(self) -> u8 {
        match self {
            Self::Server => DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT,
            Self::Client => DIGITAL_SIGNATURE | KEY_AGREEMENT,
        }
    }
}

/// Whether a certificate says that it may issue others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Authority {
    /// It does.
    Declared,
    /// It is too old to say so, or says it of its key alone: OpenSSL takes it as a root.
    Implied,
    /// It does not.
    Denied,
}

/// The parts of a certificate that faults are told by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    not_before: i64,
    not_after: i64,
    /// Whether it is of the first version, which has no extensions.
    is_first_version: bool,
    extensions: Extensions<'a>,
}

/// Each of them where it is there.
#[derive(Clone, Copy, Debug, Default)]
struct Extensions<'a> {
    /// The list of usages.
    usages: Option<&'a [u8]>,
    /// Bits of what the key may be used for.
    key_usages: Option<u8>,
    is_authority: Option<bool>,
    own_key: Option<&'a [u8]>,
    issuers_key: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    fn of(list: &'a [u8]) -> Option<Self> {
        let mut found = Self::default();
        let (mut rest, _) = element_of(list, SEQUENCE)?;
        while let Some(extension) = element(rest) {
            let (name, value) = element_of(extension.content, OBJECT_IDENTIFIER)?;
            let mut field = element(value)?;
            // Whether it is critical may stand before its bytes.
            if field.tag == BOOLEAN {
                field = element(field.after)?;
            }
            found.note(name, field.content);
            rest = extension.after;
        }
        Some(found)
    }

    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        let sequence = || element_of(value, SEQUENCE).map(|(content, _)| content);
        match name {
            EXTENDED_KEY_USAGE => self.usages = sequence(),
            KEY_USAGE => {
                // The count of bits that are not used stands before them.
                let bits = element_of(value, BIT_STRING).map(|(content, _)| content);
                self.key_usages = bits.map(|bits| bits.get(1).copied().unwrap_or_default());
            }
            BASIC_CONSTRAINTS => {
                let first = sequence().and_then(element);
                let says = |field: Element<'_>| field.tag == BOOLEAN && field.content != [0];
                self.is_authority = Some(first.is_some_and(says));
            }
            SUBJECT_KEY_IDENTIFIER => {
                self.own_key = element_of(value, OCTET_STRING).map(|(content, _)| content);
            }
            AUTHORITY_KEY_IDENTIFIER => {
                let key = sequence().and_then(|list| element_of(list, KEY_IDENTIFIER));
                self.issuers_key = key.map(|(content, _)| content);
            }
            _ => {}
        }
    }
}

impl<'a> Parts<'a> {
    /// `None` where `der` is no certificate.
    pub(super) fn of(der: &'a [u8]) -> Option<Self> {
        let (certificate, _) = element_of(der, SEQUENCE)?;
        let (mut rest, _) = element_of(certificate, SEQUENCE)?;
        let is_first_version = rest.first() != Some(&VERSION);
        if !is_first_version {
            rest = element(rest)?.after;
        }
        // Serial number, and algorithm of the signature.
        rest = element(rest)?.after;
        rest = element(rest)?.after;
        let issuer = element(rest)?;
        let (validity, after) = element_of(issuer.after, SEQUENCE)?;
        let from = element(validity)?;
        let until = element(from.after)?;
        let subject = element(after)?;
        let mut rest = element(subject.after)?.after;
        let mut extensions = Extensions::default();
        while let Some(field) = element(rest) {
            if field.tag == EXTENSIONS {
                extensions = Extensions::of(field.content)?;
            }
            rest = field.after;
        }
        Some(Self {
            issuer: issuer.content,
            subject: subject.content,
            not_before: seconds(from)?,
            not_after: seconds(until)?,
            is_first_version,
            extensions,
        })
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.seems_issued_by(self)
    }

    /// By its names, and by what tells keys apart. Its signature is not looked at.
    fn seems_issued_by(&self, other: &Parts<'_>) -> bool {
        let keys = self.extensions.issuers_key.zip(other.extensions.own_key);
        self.issuer == other.subject && keys.is_none_or(|(theirs, own)| theirs == own)
    }

    /// When it is valid, in seconds since the epoch.
    pub(super) fn validity(&self) -> RangeInclusive<i64> {
        self.not_before..=self.not_after
    }

    /// What its times say `now`, in seconds since the epoch.
    pub(super) fn time_fault(&self, now: i64) -> Option<CertificateFault> {
        if now < self.not_before {
            Some(CertificateFault::CertNotYetValid)
        } else if now > self.not_after {
            Some(CertificateFault::CertHasExpired)
        } else {
            None
        }
    }

    /// Whether it may be shown for `usage`: it may for any where it lists none.
    pub(super) fn serves(&self, usage: Usage) -> bool {
        let key_usages = self.extensions.key_usages;
        self.lists(usage) && key_usages.is_none_or(|bits| bits & usage.of_key() != 0)
    }

    /// Whether those that it issues may be shown for `usage`.
    pub(super) fn lists(&self, usage: Usage) -> bool {
        let Some(mut rest) = self.extensions.usages else {
            return true;
        };
        while let Some(listed) = element(rest) {
            if listed.content == usage.object_identifier() || listed.content == ANY_USAGE {
                return true;
            }
            rest = listed.after;
        }
        false
    }

    /// Whether its key may sign certificates.
    pub(super) fn may_sign(&self) -> bool {
        let key_usages = self.extensions.key_usages;
        key_usages.is_none_or(|bits| bits & CERTIFICATE_SIGN != 0)
    }

    fn authority(&self) -> Authority {
        let is_old_root = self.is_first_version && self.is_self_issued();
        match self.extensions.is_authority {
            _ if !self.may_sign() => Authority::Denied,
            Some(true) => Authority::Declared,
            Some(false) => Authority::Denied,
            None if is_old_root || self.extensions.key_usages.is_some() => Authority::Implied,
            None => Authority::Denied,
        }
    }

    /// What OpenSSL finds of it as an issuer for `usage`; `is_top` where nothing is above it.
    fn issuer_fault(&self, usage: Usage, is_top: bool) -> Option<CertificateFault> {
        match self.authority() {
            Authority::Denied => Some(CertificateFault::InvalidPurpose),
            _ if !self.lists(usage) => Some(CertificateFault::InvalidPurpose),
            Authority::Implied if !is_top => Some(CertificateFault::InvalidCa),
            _ => None,
        }
    }
}

/// The one of `known` that seems to have issued `certificate`: one that is valid `now`, or was until last.
fn issuer_among<'a>(known: &[Parts<'a>], certificate: &Parts<'_>, now: i64) -> Option<Parts<'a>> {
    let issuers = known
        .iter()
        .filter(|other| certificate.seems_issued_by(other));
    let best = issuers.max_by_key(|other| (other.time_fault(now).is_none(), other.not_after));
    best.copied()
}

/// The fault that OpenSSL reports of `chain`, whose leaf is the first. `known` are certificates that are trusted as roots if
/// they are self-issued, and in any case if `partial`. `None`: the fault is none of those that are told apart here.
pub(super) fn fault_of(
    chain: &[&[u8]],
    known: &[&[u8]],
    partial: bool,
    usage: Usage,
    now: i64,
) -> Option<CertificateFault> {
    let leaf = Parts::of(chain.first()?)?;
    let presented: Vec<Parts<'_>> = chain[1..].iter().filter_map(|der| Parts::of(der)).collect();
    let known: Vec<Parts<'_>> = known.iter().filter_map(|der| Parts::of(der)).collect();
    let mut path = vec![leaf];
    let mut is_trusted = false;
    while !is_trusted && path.len() <= chain.len() + known.len() {
        let top = path[path.len() - 1];
        if let Some(root) = issuer_among(&known, &top, now) {
            if !top.is_self_issued() {
                path.push(root);
            }
            is_trusted = partial || root.is_self_issued();
            if top.is_self_issued() {
                break;
            }
        } else if top.is_self_issued() {
            break;
        } else if let Some(issuer) = issuer_among(&presented, &top, now) {
            path.push(issuer);
        } else {
            break;
        }
    }
    let top = path[path.len() - 1];
    let mut fault = match (is_trusted, top.is_self_issued(), path.len()) {
        (true, _, _) => None,
        (false, true, 1) => Some(CertificateFault::DepthZeroSelfSignedCert),
        (false, true, _) => Some(CertificateFault::SelfSignedCertInChain),
        (false, false, 1) => Some(CertificateFault::UnableToVerifyLeafSignature),
        (false, false, _) if known.iter().any(|other| other.subject == top.subject) => {
            Some(CertificateFault::UnableToGetIssuerCert)
        }
        (false, false, _) => Some(CertificateFault::UnableToGetIssuerCertLocally),
    };
    if !leaf.serves(usage) && fault != Some(CertificateFault::UnableToVerifyLeafSignature) {
        fault = Some(CertificateFault::InvalidPurpose);
    }
    for (at, issuer) in path.iter().enumerate().skip(1) {
        fault = issuer.issuer_fault(usage, at + 1 == path.len()).or(fault);
    }
    for (at, certificate) in path.iter().enumerate().rev() {
        if path.get(at + 1).is_some_and(|issuer| !issuer.may_sign()) {
            fault = Some(CertificateFault::Unspecified);
        }
        fault = certificate.time_fault(now).or(fault);
    }
    fault
}

#[derive(Clone, Copy)]
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    after: &'a [u8],
}

/// The first element of DER.
fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) || rest.len() < count {
            return None;
        }
        length = rest[..count]
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        rest = &rest[count..];
    }
    (length <= rest.len()).then(|| Element {
        tag,
        content: &rest[..length],
        after: &rest[length..],
    })
}

fn element_of(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let found = element(bytes)?;
    (found.tag == tag).then_some((found.content, found.after))
}

/// Seconds since the epoch.
fn seconds(time: Element<'_>) -> Option<i64> {
    let digits = time.content.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |at: usize, count: usize| {
        let part = digits.get(at..at + count)?;
        Some(
            part.iter()
                .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')),
        )
    };
    let (year, at) = match time.tag {
        UTC_TIME => {
            let short = number(0, 2)?;
            (
                if short < 50 {
                    2000 + short
                } else {
                    1900 + short
                },
                2,
            )
        }
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    let (month, day) = (number(at, 2)?, number(at + 2, 2)?);
    let (hour, minute, second) = (number(at + 4, 2)?, number(at + 6, 2)?, number(at + 8, 2)?);
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from the epoch to a day of the Gregorian calendar, whose years begin in March here.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<i64> {
        seconds(Element {
            tag,
            content: text.as_bytes(),
            after: &[],
        })
    }

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(
            time(GENERALIZED_TIME, "20500101000000Z"),
            Some(2_524_608_000)
        );
        assert_eq!(time(GENERALIZED_TIME, "20000229120000Z"), Some(951_825_600));
        for broken in ["", "Z", "7001010000Z", "70010100000aZ", "700101000000"] {
            assert_eq!(time(UTC_TIME, broken), None, "{broken}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_parts() {
        let whole = include_bytes!("../../../../testdata/tls/leaf.der");
        assert!(Parts::of(whole).is_some());
        for length in 0..whole.len() {
            assert!(Parts::of(&whole[..length]).is_none(), "{length}");
        }
        for at in 0..whole.len() {
            let mut other = whole.to_vec();
            other[at] ^= 0xff;
            // It need not be refused, but nothing panics.
            let _ = Parts::of(&other);
        }
    }
}
