//! Real functions in real environments.
//!
//! Every environment re-executes this binary, so it has a `main` of its own. On a host that cannot isolate, the tests
//! fail and say what is missing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod compiled;
mod extensions;
mod hostile;
mod node;
mod pooling;
mod provisioned;
mod python;
mod runtime_api;
mod snap_start;
mod starting;
mod streaming;
mod support;
mod tenants;
mod waiting;

use libtest_mimic::{Arguments, Trial};

fn main() {
    lambent_sandbox::run_if_forge();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(python::trials());
    trials.extend(node::trials());
    trials.extend(snap_start::trials());
    trials.extend(compiled::trials());
    trials.extend(pooling::trials());
    trials.extend(provisioned::trials());
    trials.extend(hostile::trials());
    trials.extend(waiting::trials());
    trials.extend(starting::trials());
    trials.extend(streaming::trials());
    trials.extend(tenants::trials());
    trials.extend(extensions::trials());
    trials.extend(runtime_api::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
