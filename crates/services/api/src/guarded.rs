//! Storage that only those reach who can show a decision.

use std::fmt;

use lambent_identity::Authorized;

use crate::Call;

/// Rows or blobs of a service's resources. Whoever touches them shows why it may: that access was decided on, or that the
/// platform does work of its own.
///
/// A handler that forgets the decision does not compile:
///
/// ```compile_fail,E0061
/// fn read(rows: &lambent_api::Guarded<Vec<u8>>) -> u8 {
///     rows.of()[0]
/// }
/// ```
///
/// Nor does one that invents it:
///
/// ```compile_fail,E0277
/// struct Me;
///
/// fn read(rows: &lambent_api::Guarded<Vec<u8>>) -> u8 {
///     rows.of(&Me)[0]
/// }
/// ```
///
/// Nor does one that looks past it:
///
/// ```compile_fail,E0616
/// fn read(rows: &lambent_api::Guarded<Vec<u8>>) -> u8 {
///     rows.inner[0]
/// }
/// ```
///
/// This does:
///
/// ```
/// fn read(rows: &lambent_api::Guarded<Vec<u8>>, call: &lambent_api::Call) -> u8 {
///     rows.of(call)[0]
/// }
/// ```
#[derive(Clone)]
pub struct Guarded<T> {
    inner: T,
}

impl<T> Guarded<T> {
    pub fn new(inner: T) -> Self {
        Self { inner }
    }

    /// For what a request does that was decided on.
    pub fn of(&self, _proof: &impl Proof) -> &T {
        &self.inner
    }

    /// For what the platform does by itself.
    pub fn of_platform(&self, _work: &PlatformWork) -> &T {
        &self.inner
    }
}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

/// Shows that access was decided on. Nothing outside of this crate can be one.
pub trait Proof: sealed::Sealed {}

impl Proof for Authorized {}
impl Proof for Call {}

mod sealed {
    pub trait Sealed {}

    impl Sealed for lambent_identity::Authorized {}
    impl Sealed for crate::Call {}
}

/// Shows that no request is served, but work of the platform's own is done: sweeping, delivering, starting.
///
/// Only the binary makes one, when it puts the parts together (`cargo xtask tidy` sees to it), and gives it to the part
/// whose work it names.
#[derive(Clone, Debug)]
pub struct PlatformWork {
    purpose: &'static str,
}

impl PlatformWork {
    /// For `purpose`, as `s3/sweep`.
    pub fn for_the(purpose: &'static str) -> Self {
        Self { purpose }
    }

    pub fn purpose(&self) -> &'static str {
        self.purpose
    }
}
