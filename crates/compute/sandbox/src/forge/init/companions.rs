//! Programs that run beside the runtime: forked with it, confined like it, executed when there is a function.

use std::os::fd::{AsFd, OwnedFd};

use nix::unistd::{ForkResult, Pid};

use super::runtime::{close_turn, execute, prepare, wait_for_turn};
use super::{Built, Given, Step};
use crate::clone::fork_into;
use crate::forge::template::Ready;
use crate::link::{self, Report};
use crate::spec::Companion;

/// Where they start.
const FOLDER: &str = "/";

/// Forks as many as the shell says; they wait until they are told what they are.
pub(super) fn start(
    template: &Ready,
    given: &Given,
    built: &Built,
    turn: (&OwnedFd, &OwnedFd),
) -> Step<Vec<Pid>> {
    let Some((orders, output)) = &given.companions else { return Ok(Vec::new()) };
    let start_one = |index: u32| {
        match fork_into(0).map_err(|error| format!("fork a companion: {error}"))? {
            ForkResult::Parent { child } => Ok(child),
            ForkResult::Child => {
                close_turn(turn.1);
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                let prepared = prepare(template, given, built, output);
                let report = match prepared.and_then(|()| become_companion(index, given, orders, turn.0)) {
                    Ok(Some(errno)) => Report::CompanionNotExecuted { index, errno },
                    // Nobody needs it.
                    Ok(None) => std::process::exit(0),
                    Err(detail) => Report::Failed { detail },
                };
                wait_for_turn(turn.0);
                let _ = link::send_json(given.control.as_fd(), &report, &[]);
                std::process::exit(1)
            }
        }
    };
    (0..template.orders.shell.companions).map(start_one).collect()
}

/// The errno with which the program could not be executed.
fn become_companion(index: usize, given: &Given, orders: &OwnedFd, turn: &OwnedFd) -> Step<Option<i32>> {
    wait_for_turn(turn);
    let (packet, _) = link::receive(orders.as_fd(), link::MAX_PACKET)
        .map_err(|error| format!("wait for a companion's orders: {error}"))?;
    if packet.is_empty() {
        return Ok(None);
    }
    let Companion { name, program, env } = serde_json::from_slice(&packet)
        .map_err(|error| format!("understand a companion's orders: {error}"))?;
    link::send_json(given.control.as_fd(), &Report::Companion { index, name }, &[])
        .map_err(|error| format!("say what a companion is: {error}"))?;
    std::env::set_current_dir(FOLDER).map_err(|error| format!("enter {FOLDER}: {error}"))?;
    Ok(Some(execute(&program, std::slice::from_ref(&program), &env)))
}
