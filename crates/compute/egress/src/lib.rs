//! The outside world for functions, where the operator allows it.
#![forbid(unsafe_code)]

mod cidr;
pub mod limits;
mod policy;
mod ranges;

pub use cidr::{Cidr, CidrError};
pub use policy::{Policy, PolicyError, Refusal};
