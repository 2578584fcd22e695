//! What can go wrong with a way out as a whole.

use std::io;

/// Why an environment has no way out. Its function runs nevertheless, and finds that nothing can be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EgressError {
    #[error("the network device could not be watched: {0}")]
    Watch(io::Error),
    #[error("the network device could not be read: {0}")]
    Read(io::Error),
}
