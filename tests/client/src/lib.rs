//! The client of the measurements and of the torture test: signed requests as bytes, over connections that cost as
//! little as they can.
#![forbid(unsafe_code)]

mod connection;
mod requests;

pub use connection::{Answer, Connection, Unanswered};
pub use requests::{ACCESS_KEY_ID, Api, FORM, REGION, Request, SECRET_ACCESS_KEY, encoded};
