//! Certificates that the operator gives, taken anew when their files change.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lambent_base::Clock;
use parking_lot::Mutex;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::{TlsError, provider};

/// How often the files are looked at, while clients come.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A pair of files and what was last read from them.
#[derive(Debug)]
pub(crate) struct Given {
    certificate: PathBuf,
    key: PathBuf,
    clock: Clock,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    pair: Arc<CertifiedKey>,
    seen: Option<[Stamp; 2]>,
    looked: Duration,
}

/// Changes with the file, or with what a link to it names.
type Stamp = (u64, u64, u64, i64, i64);

impl Given {
    pub(crate) fn open(certificate: &Path, key: &Path, clock: Clock) -> Result<Self, TlsError> {
        let seen = stamps(certificate, key);
        let pair = Arc::new(read(certificate, key)?);
        let held = Mutex::new(Held { pair, seen, looked: clock.monotonic() });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), clock, held })
    }

    /// The newest pair that fits together.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut held = self.held.lock();
        let now = self.clock.monotonic();
        if now.saturating_sub(held.looked) < LOOK_EVERY {
            return Arc::clone(&held.pair);
        }
        held.looked = now;
        let seen = stamps(&self.certificate, &self.key);
        if seen.is_some() && seen != held.seen {
            held.seen = seen;
            match read(&self.certificate, &self.key) {
                Ok(pair) => {
                    held.pair = Arc::new(pair);
                    tracing::info!(path = %self.certificate.display(), "a new certificate is in use");
                }
                // Perhaps one of the two is still to come; then both are read again.
                Err(error) => tracing::error!(%error, "the certificate from before stays in use"),
            }
        }
        Arc::clone(&held.pair)
    }
}

impl ResolvesServerCert for Given {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn stamps(certificate: &Path, key: &Path) -> Option<[Stamp; 2]> {
    let stamp = |file: Metadata| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec());
    Some([stamp(fs::metadata(certificate).ok()?), stamp(fs::metadata(key).ok()?)])
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&bytes(certificate)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| wrong(certificate, "certificates", &error))?;
    if chain.is_empty() {
        return Err(wrong(certificate, "certificates", &pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?);
    let private = private.map_err(|error| wrong(key, "a private key", &error))?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn wrong(path: &Path, expected: &'static str, found: &pem::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), expected, found: found.to_string() }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn certificate(&self) -> PathBuf {
            self.folder.path().join("certificate.pem")
        }

        fn key(&self) -> PathBuf {
            self.folder.path().join("key.pem")
        }

        /// Writes a new pair, of which only the certificate arrives at first.
        fn half(&self) -> String {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["example.org".to_owned()]).unwrap();
            fs::write(self.certificate(), params.self_signed(&key).unwrap().pem()).unwrap();
            key.serialize_pem()
        }
    }

    #[test]
    fn files_are_taken_when_both_have_changed_and_at_most_once_a_second() {
        let files = Files { folder: tempfile::tempdir().unwrap() };
        let key = files.half();
        fs::write(files.key(), key).unwrap();
        let (clock, hand) = Clock::manual(1_800_000_000_000);
        let given = Given::open(&files.certificate(), &files.key(), clock).unwrap();
        let first = given.current();
        let key = files.half();
        assert!(Arc::ptr_eq(&first, &given.current()), "it is not yet time to look");
        hand.advance(LOOK_EVERY);
        assert!(Arc::ptr_eq(&first, &given.current()), "certificate and key do not fit");
        fs::write(files.key(), key).unwrap();
        hand.advance(LOOK_EVERY);
        let second = given.current();
        assert_ne!(first.cert, second.cert);
        fs::remove_file(files.certificate()).unwrap();
        hand.advance(LOOK_EVERY);
        assert!(Arc::ptr_eq(&second, &given.current()), "a file that is gone changes nothing");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let files = Files { folder: tempfile::tempdir().unwrap() };
        let open =
            || Given::open(&files.certificate(), &files.key(), Clock::system()).unwrap_err().to_string();
        assert!(open().contains("expected to be able to read"), "{}", open());
        let key = files.half();
        fs::write(files.key(), "no key").unwrap();
        assert!(open().contains("to hold a private key in PEM"), "{}", open());
        fs::write(files.certificate(), "nothing").unwrap();
        assert!(open().contains("to hold certificates in PEM"), "{}", open());
        files.half();
        fs::write(files.key(), key).unwrap();
        assert!(open().contains("to be the key of the certificate"), "{}", open());
    }
}
