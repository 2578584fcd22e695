//! The cloud's own certificate authority: made at first start, and able to sign for the cloud's own names alone.

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lambent_base::{Clock, Random};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use crate::names::{self, LOCALHOST};
use crate::{TlsError, provider};

pub(crate) const DAY_S: i64 = 24 * 3600;
/// How long an authority lives: people trust it by hand, so that a new one is a nuisance.
const AUTHORITY_LIFE_S: i64 = 3650 * DAY_S;
/// One that has less than this left is replaced at the start.
const AUTHORITY_LEFT_S: i64 = 365 * DAY_S;
/// How long a leaf lives.
pub(crate) const LEAF_LIFE_S: i64 = 90 * DAY_S;
/// Certificates are valid from so long ago, as clients' clocks differ.
const BEFORE_S: i64 = 2 * DAY_S;
const SERIAL_BYTES: usize = 16;
/// Of a whole address, of either kind.
const ADDRESS_BITS: u8 = 128;

/// For what an authority may sign, beside `localhost` and private addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The domain whose names it may sign.
    domain: String,
    /// An address that is not private.
    address: Option<IpAddr>,
}

impl Scope {
    /// Of a cloud with this `--domain`, on this address.
    pub fn new(domain: &str, listen: IpAddr) -> Self {
        let is_special = !names::is_private(listen) && !listen.is_unspecified();
        Self { domain: domain.to_ascii_lowercase(), address: is_special.then_some(listen) }
    }

    fn covers(&self, other: &Self) -> bool {
        (other.domain == self.domain || other.domain == LOCALHOST)
            && (other.address.is_none() || other.address == self.address)
    }

    pub(crate) fn covers_address(&self, address: IpAddr) -> bool {
        names::is_private(address) || self.address == Some(address)
    }
}

/// As it is kept in the data directory.
#[derive(Serialize, Deserialize)]
struct Kept {
    scope: Scope,
    /// The common name.
    name: String,
    /// Seconds since 1970.
    ends_s: i64,
    certificate: String,
    key: String,
}

/// An authority with its key.
pub struct Authority {
    kept: Kept,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one.
    pub fn make(scope: Scope, clock: &Clock, random: &Random) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let ends_s = clock.unix_s() + AUTHORITY_LIFE_S;
        // Several clouds' authorities stand in one list of a browser.
        let name = format!(
            "Lambent CA {} ({})",
            random.string(b"abcdefghijkmnpqrstuvwxyz23456789", 6),
            scope.domain
        );
        let mut params = authority_params(&name);
        set_life(&mut params, ends_s, clock);
        params.serial_number = Some(serial(random));
        params.name_constraints = Some(constraints(&scope));
        let certificate = params.self_signed(&key)?.pem();
        let kept = Kept { scope, name, ends_s, certificate, key: key.serialize_pem() };
        Ok(Self { issuer: Issuer::new(params, key), kept })
    }

    /// The one that [`Authority::to_json`] gave, unless it is too narrow for what is wanted now, or near its end.
    pub fn read(json: &str, wanted: &Scope, clock: &Clock) -> Result<Option<Self>, TlsError> {
        let kept: Kept =
            serde_json::from_str(json).map_err(|error| TlsError::Authority(error.to_string()))?;
        if !kept.scope.covers(wanted) || kept.ends_s - clock.unix_s() < AUTHORITY_LEFT_S {
            return Ok(None);
        }
        let issuer = Issuer::new(authority_params(&kept.name), KeyPair::from_pem(&kept.key)?);
        Ok(Some(Self { kept, issuer }))
    }

    /// With its key: to be kept from everybody else.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.kept).expect("strings and numbers are JSON")
    }

    /// The certificate that clients are to trust, in PEM.
    pub fn certificate(&self) -> &str {
        &self.kept.certificate
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.kept.scope
    }

    /// A certificate for these names and addresses.
    pub(crate) fn leaf(
        &self,
        names: &[String],
        addresses: &[IpAddr],
        key: &KeyPair,
        (clock, random): (&Clock, &Random),
    ) -> Result<CertifiedKey, TlsError> {
        let mut params = CertificateParams::new(names)?;
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Lambent");
        set_life(&mut params, self.kept.ends_s.min(clock.unix_s() + LEAF_LIFE_S), clock);
        params.serial_number = Some(serial(random));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate: CertificateDer<'static> = params.signed_by(key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(CertifiedKey::from_der(vec![certificate], key, &provider())?)
    }
}

/// What issuer and certificate have in common.
fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Lambent");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Who gets hold of the key gets no names but these.
fn constraints(scope: &Scope) -> NameConstraints {
    let mut permitted = vec![GeneralSubtree::DnsName(LOCALHOST.to_owned())];
    if scope.domain != LOCALHOST {
        permitted.push(GeneralSubtree::DnsName(scope.domain.clone()));
    }
    let ranges = names::PRIVATE.iter().copied().chain(scope.address.map(|address| (address, ADDRESS_BITS)));
    permitted.extend(
        ranges.map(|(range, bits)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(range, bits))),
    );
    NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() }
}

/// Never twice under one authority: clients refuse a second certificate with a number that they have seen.
fn serial(random: &Random) -> SerialNumber {
    let mut bytes: [u8; SERIAL_BYTES] = random.bytes();
    // A positive number without leading zeros.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

/// From some days ago until then, to the day.
fn set_life(params: &mut CertificateParams, ends_s: i64, clock: &Clock) {
    let day = |unix_s: i64| {
        let at = TimeZone::UTC.to_datetime(Timestamp::from_second(unix_s).unwrap_or(Timestamp::MAX));
        date_time_ymd(at.year().into(), at.month().unsigned_abs(), at.day().unsigned_abs())
    };
    params.not_before = day(clock.unix_s() - BEFORE_S);
    params.not_after = day(ends_s);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    const NOW_S: i64 = 1_800_000_000;
    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Whether somebody who trusts `pem` takes a leaf of this authority for this name.
    fn vouches(authority: &Authority, pem: &str, name: &str) -> bool {
        let (clock, _) = Clock::manual(NOW_S * 1000);
        let key = KeyPair::generate().unwrap();
        let names = (&clock, &Random::seeded(9));
        let leaf = authority.leaf(&[name.to_owned()], &[], &key, names).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()))
            .build()
            .unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW_S.unsigned_abs()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&leaf.cert[0], &[], &name, &[], now).is_ok()
    }

    #[test]
    fn a_kept_authority_goes_on_and_signs_for_its_own_names_alone() {
        let (clock, hand) = Clock::manual(NOW_S * 1000);
        let scope = Scope::new("example.org", LOOPBACK);
        let made = Authority::make(scope.clone(), &clock, &Random::seeded(1)).unwrap();
        let json = made.to_json();
        let read = Authority::read(&json, &scope, &clock).unwrap().unwrap();
        assert_eq!(read.certificate(), made.certificate());
        for (name, expected) in [
            ("a.example.org", true),
            ("localhost", true),
            ("10.1.2.3", true),
            ("example.com", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(vouches(&read, made.certificate(), name), expected, "{name}");
        }
        assert!(Authority::read(&json, &Scope::new(LOCALHOST, LOOPBACK), &clock).unwrap().is_some());
        assert!(Authority::read(&json, &Scope::new("other.org", LOOPBACK), &clock).unwrap().is_none());
        let public = Scope::new("example.org", "8.8.8.8".parse().unwrap());
        assert!(Authority::read(&json, &public, &clock).unwrap().is_none());
        let wider = Authority::make(public, &clock, &Random::seeded(2)).unwrap();
        assert!(vouches(&wider, wider.certificate(), "8.8.8.8"));
        hand.advance(Duration::from_secs((AUTHORITY_LIFE_S - AUTHORITY_LEFT_S + DAY_S).unsigned_abs()));
        assert!(Authority::read(&json, &scope, &clock).unwrap().is_none(), "it is near its end");
        assert!(Authority::read("{}", &scope, &clock).is_err());
    }
}
