//! The sandbox's own code that makes a network device, with what it expects around it.

pub(crate) mod init;
