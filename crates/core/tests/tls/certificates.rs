//! Whose certificate is taken, and what is told of the others.

use netpoll_core::Address;
use netpoll_core::tls::CertificateFault;
use netpoll_core::tls::options::{
    ClientCertificates, ClientOptions, InvalidConfiguration, NameCheck, ServerOptions,
    Unauthorized, Version,
};
use netpoll_core::tls::{ClientTls, ServerTls};

use crate::handshakes::VERSIONS;
use crate::peers::{
    ROOT, SELF, client_leaf, client_options, client_with, leaf, self_signed, server_options,
    server_with, trusting,
};
use crate::support::{Harness, What};

const CERTIFICATE: u32 = 10_012;
const NO_CERTIFICATE: u32 = 10_013;
const ALERT: u32 = 10_011;

/// What a dial and its server are told: `None` where all is well; else the reason, and the number that belongs to it.
type Told = Option<(u32, u32)>;

fn outcome(server: &ServerOptions, client: &ClientOptions) -> (Told, Told) {
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&server_with(server, |_| {}));
    let id = h.dial(&Address::Ip(address), &client_with(client));
    let server_told = |h: &Harness| {
        h.log.iter().find_map(|entry| match entry.what {
            What::HandshakeFailed { reason, detail } => Some(Some((reason, detail))),
            What::Accepted { .. } => Some(None),
            _ => None,
        })
    };
    h.until(|h| server_told(h).is_some() && (h.has(id, "connected") || h.reason(id).is_some()));
    // A client is told of a refusal after its own handshake is done.
    if server_told(&h) != Some(None) {
        h.until_closed(id);
    }
    let client_told = h.reason(id).map(|reason| (reason, h.closed_detail(id)));
    (client_told, server_told(&h).expect("just seen"))
}

#[test]
fn a_server_that_is_not_trusted_is_refused_and_told() {
    for version in VERSIONS {
        let untrusted = |change: &dyn Fn(&mut ServerOptions, &mut ClientOptions)| {
            let (mut server, mut client) = (server_options(version), client_options(version));
            change(&mut server, &mut client);
            outcome(&server, &client)
        };
        let unknown_issuer = untrusted(&|_, client| client.authorities = trusting(&[SELF]));
        let fault = CertificateFault::UnableToVerifyLeafSignature as u32;
        // The alert unknown_ca.
        let expected = (Some((CERTIFICATE, fault)), Some((ALERT, 48)));
        assert_eq!(unknown_issuer, expected, "{version:?}");

        let self_made = untrusted(&|server, _| server.identity = Some(self_signed()));
        let fault = CertificateFault::DepthZeroSelfSignedCert as u32;
        assert_eq!(self_made.0, Some((CERTIFICATE, fault)));

        let other_name = untrusted(&|_, client| client.server_name = Some("other".to_owned()));
        let fault = CertificateFault::AltnameInvalid as u32;
        assert_eq!(other_name.0, Some((CERTIFICATE, fault)));

        let other_usage = untrusted(&|server, _| server.identity = Some(client_leaf()));
        let fault = CertificateFault::InvalidPurpose as u32;
        assert_eq!(other_usage.0, Some((CERTIFICATE, fault)));
    }
}

#[test]
fn a_self_signed_leaf_that_is_listed_is_taken() {
    for version in VERSIONS {
        let (mut server, mut client) = (server_options(version), client_options(version));
        server.identity = Some(self_signed());
        client.authorities = trusting(&[ROOT, SELF]);
        assert_eq!(outcome(&server, &client), (None, None));
        client.server_name = Some("other".to_owned());
        assert!(
            outcome(&server, &client).0.is_some(),
            "its name is compared"
        );
    }
}

#[test]
fn who_accepts_anyone_is_told_what_is_wrong() {
    let (server, mut client) = (
        server_options(Version::Tls13),
        client_options(Version::Tls13),
    );
    client.authorities = trusting(&[SELF]);
    client.unauthorized = Unauthorized::Accepted;
    client.name_check = NameCheck::Dialer;
    let mut h = Harness::new();
    let (_, address) = h.listen_tcp(&server_with(&server, |_| {}));
    let settings = client_with(&client);
    for round in 0..2 {
        let id = h.dial(&Address::Ip(address), &settings);
        h.until(|h| h.has(id, "connected"));
        let negotiated = h.poller.negotiated(id).expect("secured");
        // Of a resumed session, too.
        let fault = CertificateFault::UnableToVerifyLeafSignature;
        assert_eq!(negotiated.fault, Some(fault), "{round}");
        // Tickets come after the handshake.
        h.quiesce();
        h.poller.close(id);
        h.until_closed(id);
    }
}

fn asking(version: Version, unauthorized: Unauthorized) -> ServerOptions {
    let mut options = server_options(version);
    options.client_certificates = ClientCertificates::Asked {
        authorities: trusting(&[ROOT]),
        unauthorized,
    };
    options
}

#[test]
fn clients_show_certificates_where_they_are_asked() {
    for version in VERSIONS {
        let required = asking(version, Unauthorized::Refused);
        let asked = asking(version, Unauthorized::Accepted);
        let with = |identity| ClientOptions {
            identity,
            ..client_options(version)
        };
        assert_eq!(outcome(&required, &with(Some(client_leaf()))), (None, None));
        assert_eq!(outcome(&asked, &with(None)), (None, None));
        assert_eq!(outcome(&asked, &with(Some(self_signed()))), (None, None));
        let (client, server) = outcome(&required, &with(None));
        assert_eq!(server, Some((NO_CERTIFICATE, 0)), "{version:?}");
        assert_eq!(client.map(|told| told.0), Some(ALERT));
        let (client, server) = outcome(&required, &with(Some(self_signed())));
        let fault = CertificateFault::DepthZeroSelfSignedCert as u32;
        assert_eq!(server, Some((CERTIFICATE, fault)), "{version:?}");
        assert_eq!(client, Some((ALERT, 48)));
        let (_, server) = outcome(&required, &with(Some(leaf())));
        let fault = CertificateFault::InvalidPurpose as u32;
        assert_eq!(server, Some((CERTIFICATE, fault)), "{version:?}");
    }
}

#[test]
fn what_makes_no_configuration_is_refused() {
    let server = |change: &dyn Fn(&mut ServerOptions)| {
        let mut options = server_options(Version::Tls13);
        change(&mut options);
        ServerTls::new(&options, None).err()
    };
    let mismatch = server(&|options| {
        if let Some(identity) = &mut options.identity {
            identity.chain = client_leaf().chain;
        }
    });
    assert_eq!(mismatch, Some(InvalidConfiguration::KeyMismatch));
    let none = server(&|options| options.common.ciphers = Some(Vec::new()));
    assert_eq!(none, Some(InvalidConfiguration::NothingToOffer));
    let none = server(&|options| options.common.min_version = Version::Tls13);
    assert_eq!(none, None);
    for (name, is_valid) in [
        ("example.org", true),
        ("*.example.org", true),
        ("*.EXAMPLE.org", true),
        ("*", false),
        ("*.", false),
        ("", false),
        ("a*.example.org", false),
        ("*.*.example.org", false),
        ("a.*.org", false),
        ("127.0.0.1", false),
        ("b\u{fc}cher.example", false),
        ("https://example.org", false),
        ("a..b", false),
    ] {
        let refused = server(&|options| options.named = vec![(name.to_owned(), leaf())]);
        let expected = (!is_valid).then(|| InvalidConfiguration::Name(name.to_owned()));
        assert_eq!(refused, expected, "{name}");
    }
    let mut client = client_options(Version::Tls13);
    client
        .authorities
        .certificates
        .push(b"no certificate".to_vec());
    let refused = ClientTls::new(&client).err();
    assert_eq!(refused, Some(InvalidConfiguration::Certificate));
}

/// The names of authorities are a hint for clients, which have to fit into one message.
#[test]
fn a_server_may_trust_more_than_it_can_tell_the_names_of() {
    let name = b"netpoll-test-root";
    let renamed = |number: u32| {
        let mut der = ROOT.to_vec();
        let new = format!("{number:0width$}", width = name.len());
        for start in 0..der.len() - name.len() {
            if der[start..].starts_with(name) {
                der[start..start + name.len()].copy_from_slice(new.as_bytes());
            }
        }
        der
    };
    for version in VERSIONS {
        // Each once; more than fit; more than two bytes can count.
        for (others, copies) in [(0, 4000), (1700, 1), (4000, 1)] {
            let mut authorities = trusting(&[ROOT]);
            authorities.certificates = vec![ROOT.to_vec(); copies];
            authorities.certificates.extend((0..others).map(renamed));
            let mut server = server_options(version);
            server.client_certificates = ClientCertificates::Asked {
                authorities,
                unauthorized: Unauthorized::Refused,
            };
            let mut client = client_options(version);
            client.identity = Some(client_leaf());
            assert_eq!(
                outcome(&server, &client),
                (None, None),
                "{version:?} {others}"
            );
        }
    }
}
