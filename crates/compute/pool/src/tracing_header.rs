//! Which calls are traced: the decision of a function whose tracing mode is Active.
//! Source: AWS Lambda Developer Guide, "Visualize Lambda function invocations using AWS X-Ray".

use std::collections::HashMap;

use lambent_base::{Clock, Random};
use parking_lot::Mutex;

use crate::function::FunctionKey;

/// Of all calls of a function after the first in each second, one of so many is sampled.
const ONE_OF: u8 = 20;
/// Functions of which it is known when the last call was sampled.
const MAX_KNOWN: usize = 10_000;

/// What comes after the decision.
const LINEAGE: &str = ";Lineage=";

/// Remembers in which second each function was last sampled.
#[derive(Default)]
pub(crate) struct Sampler {
    sampled_at_s: Mutex<HashMap<(String, String, String), i64>>,
}

impl Sampler {
    /// Whether to sample one more call, made now.
    fn decides(&self, function: &FunctionKey, clock: &Clock, random: &Random) -> bool {
        let now = clock.unix_s();
        let name = (function.account.clone(), function.region.clone(), function.name.clone());
        let mut known = self.sampled_at_s.lock();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        let is_first = known.insert(name, now) != Some(now);
        is_first || random.bytes::<1>()[0].is_multiple_of(ONE_OF)
    }

    /// The tracing header of a call: the caller's, or one that begins here.
    pub(crate) fn header(
        &self,
        (given, active): (Option<&str>, bool),
        function: &FunctionKey,
        clock: &Clock,
        random: &Random,
    ) -> String {
        let given = given.map(|given| given.replace(['\r', '\n'], " "));
        let given = match given {
            Some(given) if crate::texts::trace_field(&given, "Sampled").is_some() => return given,
            other => other,
        };
        let sampled = u8::from(active && self.decides(function, clock, random));
        if let Some(given) = given {
            let (trace, lineage) = given.split_at(given.find(LINEAGE).unwrap_or(given.len()));
            return format!("{trace};Sampled={sampled}{lineage}");
        }
        // One system call is enough for both.
        let digits = lambent_base::text::hex(&random.bytes::<20>());
        let (root, parent) = digits.split_at(24);
        // Source: AWS X-Ray Developer Guide, "X-Ray concepts", "Tracing header".
        format!("Root=1-{:08x}-{root};Parent={parent};Sampled={sampled}", clock.unix_s())
    }
}

/// The header if its call is sampled.
pub(crate) fn sampled(header: &str) -> Option<&str> {
    (crate::texts::trace_field(header, "Sampled") == Some("1")).then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_call_of_a_second_is_sampled_where_tracing_is_active() {
        let (sampler, clock, random) = (Sampler::default(), Clock::system(), Random::seeded(1));
        let function = crate::leases::tests::function().key;
        let header = |given, active| sampler.header((given, active), &function, &clock, &random);
        assert!(sampled(&header(None, false)).is_none());
        assert!(sampled(&header(None, true)).is_some());
        let upstream = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";
        assert_eq!(header(Some(upstream), true), upstream);
        let undecided = header(Some("Root=1-1-2;Parent=3;Lineage=1:0:0"), false);
        assert_eq!(undecided, "Root=1-1-2;Parent=3;Sampled=0;Lineage=1:0:0");
    }
}
