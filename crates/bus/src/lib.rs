//! What joins services without their knowing each other: the ports that one gives another when the binary is put
//! together, and the outbox that delivers events durably.
#![forbid(unsafe_code)]

pub mod ports;
