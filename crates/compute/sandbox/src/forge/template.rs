//! A template: the process that has the finished root of one kind of environments, and forks them.
//!
//! It has namespaces of its own of every sort and is the first process of its pid namespace, so that whatever it makes
//! ends with it. An environment begins as a fork of it in new namespaces, with a copy of its mounts: that takes a tenth
//! of the time in which the root is built. Where the shell says so, it also starts the zygote from which runtimes are forked.

use std::os::fd::{AsFd, OwnedFd};

use nix::unistd::ForkResult;

use super::{Step, ignore_children, init, reset_signals, root, serve, tie_to_parent};
use crate::clone::{OWN_NAMESPACES, fork_into};
use crate::link::{self, Fds, Reply};
use crate::orders::{EnvironmentOrders, TemplateOrders};
use crate::spec::Boot;

/// Never comes back to the forge's work: gives an exit code.
pub(super) fn run(orders: &TemplateOrders, control: &OwnedFd, zygote: Option<OwnedFd>) -> i32 {
    let ready: Reply = prepare(orders, zygote);
    let failed = ready.is_err();
    if link::send_json(control.as_fd(), &ready, &[]).is_err() || failed {
        return 1;
    }
    serve(control, |order: EnvironmentOrders, fds| make_environment(orders, &order, Fds::new(fds)))
}

fn prepare(orders: &TemplateOrders, zygote: Option<OwnedFd>) -> Step<()> {
    tie_to_parent()?;
    ignore_children()?;
    root::build(orders)?;
    match (&orders.shell.boot, zygote) {
        (Boot::Fork { program, args, env }, Some(control)) => start_zygote(program, args, env, &control),
        _ => Ok(()),
    }
}

fn make_environment(template: &TemplateOrders, order: &EnvironmentOrders, fds: Fds) -> Reply {
    match fork_into(OWN_NAMESPACES).map_err(|error| format!("fork an environment: {error}"))? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => std::process::exit(init::run(template, order, fds)),
    }
}

fn start_zygote(program: &str, args: &[String], env: &[(String, String)], control: &OwnedFd) -> Step<()> {
    match fork_into(0).map_err(|error| format!("fork a zygote: {error}"))? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => {
            let ready = reset_signals().and_then(|()| {
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
