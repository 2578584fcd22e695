//! Functions that set themselves off, again and again.
//!
//! The tracing header carries a lineage: how many functions ran because of one event, the one that is watched, by a hash,
//! and how often that one ran again. The SDKs hand the header on with whatever a function asks for.
//! Source: Lambda Developer Guide, "Use Lambda recursive loop detection to prevent infinite loops"; X-Ray Developer Guide,
//! "Tracing header".

use std::sync::Arc;

use lambent_api::Call;
use lambent_base::{Random, text};
use lambent_model_lambda::{
    GetFunctionRecursionConfigRequest, GetFunctionRecursionConfigResponse, PutFunctionRecursionConfigRequest,
    PutFunctionRecursionConfigResponse, RecursiveLoop,
};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::errors::{self, LambdaError};
use crate::functions::unqualified;
use crate::invocations::trace;
use crate::lambda::Lambda;
use crate::limits::RECURSIONS_MAX;
use crate::names::FunctionName;
use crate::{keys, rows};

/// From so many functions on, and at each power of two, another function is watched if the one that was never came again: a
/// loop need not lead through the function that began.
const FIRST_CHANGE: u32 = 8;
const COUNT_MAX: u32 = 32_767;

/// What PutFunctionRecursionConfig was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecursionRow {
    pub(crate) allowed: bool,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lineage {
    count: u32,
    hash: u32,
    loops: u32,
}

/// What a call's tracing header becomes, and how often its function set itself off before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traced {
    pub(crate) header: String,
    pub(crate) loops: u32,
}

impl Lambda {
    pub(crate) async fn put_function_recursion_config(
        self: &Arc<Self>,
        call: &Call,
        input: PutFunctionRecursionConfigRequest,
    ) -> Result<PutFunctionRecursionConfigResponse, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let row = &RecursionRow { allowed: input.recursive_loop == RecursiveLoop::Allow };
        let committed = self.db(call).run(|txn| async move {
            if txn.get(&keys::function(&name.place, &name.name)).await?.is_none() {
                return Err(LambdaError::Api(errors::function_not_found(&name.arn())));
            }
            rows::put(&txn, &keys::recursion(&name.place, &name.name), row);
            Ok(())
        });
        committed.await?;
        Ok(PutFunctionRecursionConfigResponse { recursive_loop: Some(input.recursive_loop) })
    }

    pub(crate) async fn get_function_recursion_config(
        self: &Arc<Self>,
        call: &Call,
        input: GetFunctionRecursionConfigRequest,
    ) -> Result<GetFunctionRecursionConfigResponse, LambdaError> {
        let name = &unqualified(&input.function_name, &call.owner_place())?;
        let read = self.db(call).read(|txn| async move {
            if txn.get(&keys::function(&name.place, &name.name)).await?.is_none() {
                return Err(LambdaError::Api(errors::function_not_found(&name.arn())));
            }
            rows::get::<RecursionRow>(&txn, &keys::recursion(&name.place, &name.name)).await
        });
        let allowed = read.await?.is_some_and(|row| row.allowed);
        let recursive_loop = if allowed { RecursiveLoop::Allow } else { RecursiveLoop::Terminate };
        Ok(GetFunctionRecursionConfigResponse { recursive_loop: Some(recursive_loop) })
    }
}

impl Engine {
    /// The header with which a function is called; the number of its earlier calls in one loop if it must not be called.
    pub(crate) async fn traced(
        &self,
        name: &FunctionName,
        header: Option<&str>,
    ) -> Result<Result<String, u32>, LambdaError> {
        let traced = step(header, &name.arn(), self.parts.clock.unix_ms(), &self.parts.random);
        if traced.loops < RECURSIONS_MAX {
            return Ok(Ok(traced.header));
        }
        let read = self.db.read(|txn| async move {
            rows::get::<RecursionRow>(&txn, &keys::recursion(&name.place, &name.name)).await
        });
        let allowed = read.await?.is_some_and(|row| row.allowed);
        if allowed { Ok(Ok(traced.header)) } else { Ok(Err(traced.loops)) }
    }
}

/// The header that a function is given, when whoever calls it has this one.
pub(crate) fn step(header: Option<&str>, function_arn: &str, now_ms: i64, random: &Random) -> Traced {
    let own = hash(function_arn);
    let lineage = Lineage::next(header.and_then(Lineage::read), own);
    let carried = header.and_then(|header| trace::carried(header, random));
    let carried = carried.unwrap_or_else(|| new_trace(now_ms, random));
    let Lineage { count, hash, loops } = lineage;
    // Another function's loop is not this one's.
    let own_loops = if hash == own { loops } else { 0 };
    Traced { header: format!("{carried};Lineage={count}:{hash:08x}:{loops}"), loops: own_loops }
}

impl Lineage {
    fn read(header: &str) -> Option<Self> {
        let value = header.split(';').find_map(|pair| pair.trim().strip_prefix("Lineage="))?;
        let mut parts = value.trim().split(':');
        let (count, hash, loops) = (parts.next()?, parts.next()?, parts.next()?);
        let lineage = Self {
            count: count.parse().ok()?,
            hash: u32::from_str_radix(hash, 16).ok()?,
            loops: loops.parse().ok()?,
        };
        (hash.len() == 8 && parts.next().is_none()).then_some(lineage)
    }

    fn next(before: Option<Self>, hash: u32) -> Self {
        let Some(before) = before else { return Self { count: 1, hash, loops: 0 } };
        let count = before.count.saturating_add(1).min(COUNT_MAX);
        if before.hash == hash {
            return Self { count, hash, loops: before.loops.saturating_add(1) };
        }
        let changes = before.loops == 0 && count >= FIRST_CHANGE && count.is_power_of_two();
        Self { count, hash: if changes { hash } else { before.hash }, loops: before.loops }
    }
}

/// As the pool makes one for a call without: a trace that begins here.
fn new_trace(now_ms: i64, random: &Random) -> String {
    let digits = text::hex(&random.bytes::<20>());
    let (root, parent) = digits.split_at(24);
    format!("Root=1-{:08x}-{root};Parent={parent}", now_ms.div_euclid(1000))
}

/// FNV-1a: it only has to tell functions apart, the same on every node.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the functions run until one is stopped, when each calls the next, and the last one that of `back`.
    fn runs(functions: &[&str], back: usize) -> usize {
        let (random, mut header, mut at) = (Random::seeded(1), None, 0);
        for run in 0..10_000 {
            let traced = step(header.as_deref(), functions[at], 0, &random);
            if traced.loops >= RECURSIONS_MAX {
                return run;
            }
            header = Some(traced.header);
            at = if at + 1 == functions.len() { back } else { at + 1 };
        }
        panic!("it was never stopped");
    }

    #[test]
    fn a_loop_ends_after_sixteen_rounds() {
        assert_eq!(runs(&["a"], 0), 16);
        assert_eq!(runs(&["a", "b"], 0), 32);
        assert_eq!(runs(&["a", "b", "c", "d", "e"], 0), 80);
    }

    #[test]
    fn loops_are_found_wherever_they_begin() {
        assert!(runs(&["a", "b"], 1) < 40);
        assert!(runs(&["a", "b", "c", "d", "e", "f"], 3) < 100);
        let many: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(runs(&many, 20) < 2_000);
    }

    #[test]
    fn a_trace_goes_on_and_what_is_no_lineage_begins_one() {
        let random = Random::seeded(1);
        let known = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let own = format!("{:08x}", hash("a"));
        for lineage in ["", ";Lineage=1", ";Lineage=1:zz:0", ";Lineage=1:12345678:0:1"] {
            let traced = step(Some(&format!("{known}{lineage}")), "a", 0, &random);
            assert_eq!(traced.header, format!("{known};Lineage=1:{own}:0"), "{lineage}");
        }
        let traced = step(Some(&format!("{known};Lineage=4:{own}:2")), "a", 0, &random);
        assert_eq!(traced, Traced { header: format!("{known};Lineage=5:{own}:3"), loops: 3 });
        let made = step(None, "a", 1_795_276_800_000, &random).header;
        assert!(
            made.starts_with("Root=1-6b01c000-") && made.ends_with(&format!(";Lineage=1:{own}:0")),
            "{made}"
        );
    }
}
