//! Functions' sockets in namespaces of their own, and servers in others: what arrives, what does not, and how each ends.
//!
//! Needs root, `/dev/net/tun` and `ip`; where one is missing the tests count as ignored.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod datagrams;
mod forge;
mod limits;
mod place;
mod refused;
mod streams;
mod world;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let able = nix::unistd::geteuid().is_root()
        && std::path::Path::new("/dev/net/tun").exists()
        && std::process::Command::new("ip").arg("-V").output().is_ok();
    let trial = |name: &str, test: fn()| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!able)
    };
    let mut trials = vec![
        trial("bytes_arrive_both_ways", streams::bytes_arrive_both_ways),
        trial("version_6_works", streams::version_6),
        trial("many_short_connections", streams::many_short_connections),
        trial("half_closed_connections_go_on", streams::half_close),
        trial("a_reset_inside_arrives_outside", streams::reset_inside),
        trial("a_reset_outside_arrives_inside", streams::reset_outside),
        trial("what_came_before_a_reset_arrives", streams::answer_before_reset),
        trial("a_closed_port_is_refused_at_once", streams::closed_port),
        trial("whoever_does_not_read_holds_up_the_sender", streams::back_pressure),
        trial("an_environment_that_ends_leaves_no_connection", streams::end_of_environment),
        trial("datagrams_go_and_come", datagrams::go_and_come),
        trial("a_closed_udp_port_is_reported", datagrams::closed_port),
        trial("names_are_resolved_by_the_host", datagrams::names),
        trial("the_next_resolver_is_asked", datagrams::next_resolver),
        trial("public_is_not_private", refused::under_public),
        trial("metadata_and_loopback_are_never_reached", refused::under_everything),
        trial("the_host_is_reached_only_by_name", refused::host),
        trial("environments_do_not_reach_each_other", refused::neighbours),
        trial("connections_are_counted", limits::connections),
        trial("no_function_takes_all", limits::shares),
        trial("pairs_of_endpoints_are_forgotten", limits::datagram_flows),
    ];
    trials.push(
        Trial::test("measure_throughput", || {
            limits::measure();
            Ok(())
        })
        .with_ignored_flag(true),
    );
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
