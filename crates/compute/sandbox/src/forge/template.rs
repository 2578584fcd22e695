//! A template: the process that has the finished root of one kind of environments, and forks them.
//!
//! It has namespaces of its own of every sort and is the first process of its pid namespace, so that whatever it makes
//! ends with it. An environment begins as a fork of it in new namespaces, with a copy of its mounts: that takes a tenth
//! of the time in which the root is built. Where the shell says so, it also starts the zygote from which runtimes are forked.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::unistd::ForkResult;

use super::{Step, ignore_children, init, reset_signals, root, serve, tie_to_parent};
use crate::clone::{OWN_NAMESPACES, fork_into, keep_only};
use crate::link::{self, Fds, Reply};
use crate::orders::{EnvironmentOrders, TemplateOrders};
use crate::spec::Boot;

/// Of the template and all that it makes.
const OOM_SCORE: &str = "800";

/// What environments find when they are forked.
pub(super) struct Ready {
    pub(super) orders: TemplateOrders,
    /// By which network devices are made, where environments have one.
    pub(super) tun: Option<OwnedFd>,
}

/// Never comes back to the forge's work: gives an exit code.
pub(super) fn run(orders: TemplateOrders, control: &OwnedFd, zygote: Option<OwnedFd>) -> i32 {
    let (reply, ready): (Reply, _) = match prepare(orders, zygote) {
        Ok(ready) => (Ok(()), Some(ready)),
        Err(detail) => (Err(detail), None),
    };
    let sent = link::send_json(control.as_fd(), &reply, &[]);
    let (Ok(()), Some(ready)) = (sent, ready) else { return 1 };
    serve(control, |order: EnvironmentOrders, fds| make_environment(&ready, &order, Fds::new(fds)))
}

fn prepare(orders: TemplateOrders, zygote: Option<OwnedFd>) -> Step<Ready> {
    tie_to_parent()?;
    ignore_children()?;
    offer_to_oom_killer()?;
    let tun = orders.shell.egress.then(init::tun::find).transpose()?;
    root::build(&orders)?;
    if let (Boot::Fork { program, args, env }, Some(control)) = (&orders.shell.boot, zygote) {
        start_zygote(program, args, env, &control)?;
    }
    Ok(Ready { orders, tun })
}

/// Where the platform looks first for memory when the host runs out: at functions, before everything else.
fn offer_to_oom_killer() -> Step<()> {
    std::fs::write("/proc/self/oom_score_adj", OOM_SCORE)
        .map_err(|error| format!("offer itself to the out-of-memory killer: {error}"))
}

fn make_environment(template: &Ready, order: &EnvironmentOrders, fds: Fds) -> Reply {
    match fork_into(OWN_NAMESPACES).map_err(|error| format!("fork an environment: {error}"))? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => {
            let mut kept = fds.numbers();
            kept.extend(template.tun.as_ref().map(AsRawFd::as_raw_fd));
            keep_only(kept);
            std::process::exit(init::run(template, order, fds))
        }
    }
}

fn start_zygote(program: &str, args: &[String], env: &[(String, String)], control: &OwnedFd) -> Step<()> {
    match fork_into(0).map_err(|error| format!("fork a zygote: {error}"))? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => {
            let ready = reset_signals().and_then(|()| init::keep_for_zygote()).and_then(|()| {
                nix::unistd::dup2_stdin(control).map_err(|error| format!("pass a socket: {error}"))
            });
            let detail = match ready {
                Ok(()) => format!("execute {program}: {}", init::execute(program, args, env)),
                Err(detail) => detail,
            };
            let _ = link::send_json(control.as_fd(), &Reply::Err(detail), &[]);
            std::process::exit(1)
        }
    }
}
