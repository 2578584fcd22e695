//! The programs that run functions' languages: found on this host, given packages, described for a sandbox.
//!
//! Nothing here runs a function: [`Catalogue::resolve`] says what a runtime identifier runs on, [`install`] fetches the
//! packages that AWS's runtimes carry, and [`Launch::new`] says what to show an environment and what to execute in it.
#![forbid(unsafe_code)]

mod catalogue;
mod code_cache;
mod discover;
mod elf;
mod environment;
mod from_image;
mod image;
mod install;
mod interpreters;
mod launch;
mod names;
mod webassembly;

pub use catalogue::{Catalogue, Family, Interpreter, Runtime, RuntimeError};
pub use code_cache::{CODE_CACHE_DIR, CODE_CACHE_EXTENSIONS, CODE_CACHE_FILE, code_cache_key};
pub use environment::{FunctionFacts, variables};
pub use from_image::take_interpreter;
pub use image::Image;
pub use install::{InstallError, Progress, install, is_installed};
pub use interpreters::install_interpreter;
pub use launch::{ENDPOINT_PORT, EXEC_WRAPPER, Launch, RUNTIME_API_PORT, Start, matters_at_start};
pub use names::{CURRENT_RUNTIMES, DEPRECATED_RUNTIMES, is_runtime};
pub use webassembly::{WASI_HTTP, WASI_LAMBDA, is_webassembly};
