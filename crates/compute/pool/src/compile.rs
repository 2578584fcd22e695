//! Compiling a function's code ahead of its calls, in an environment of its own of which nothing else comes.
//!
//! A bootstrap of ours does it and runs nothing of what it compiles. What it sends is not looked at here: it is the function's
//! own, like its code, and goes to no other.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use lambent_runtimes::CODE_CACHE_DIR;
use lambent_sandbox::{Assignment, Bind, OPT_DIR, TASK_DIR};

use crate::api::Call;
use crate::error::InvokeError;
use crate::function::FunctionSpec;
use crate::pool::{Inner, Pool, Working};
use crate::prepared::Prepared;
use crate::start::{Needs, blocking, kind_of, prepare};

/// A compilation that takes longer is given up.
const MAX_DURATION: Duration = Duration::from_secs(60);
/// So much compiled code is kept of one function.
const MAX_BYTES: u64 = 64 << 20;
/// It is given at least so much memory, and half a core with it: more than small functions have, less than whole cores.
const MIN_MEMORY_MIB: u32 = 885;

impl Pool {
    /// Compiles a Node.js function's code, and writes what its cold starts may begin with (see
    /// [`crate::FunctionSpec::code_cache`]) to `into`. Gives the number of bytes; zero when there is nothing to gain.
    /// What fails here fails no call, as the function runs without it, too.
    pub async fn compile(&self, function: &FunctionSpec, into: File) -> Result<u64, InvokeError> {
        let inner = self.inner();
        inner.refuse_weak_isolation().await?;
        let kind = kind_of(inner, Needs { extensions: 0, ..Needs::of(function) }).await?;
        let mut prepared = prepare(inner, &kind.shell).await?;
        let compiled = compile_in(inner, &mut prepared, function, into).await;
        let (owner, working) = (inner.clone(), Working::new(inner));
        tokio::task::spawn_blocking(move || {
            drop(prepared);
            owner.retire_unless_used(&kind.shell);
            drop(working);
        });
        compiled.map_err(|why| InvokeError::Environment(format!("compile its code: {why}")))
    }
}

/// A function's files, as its environments see them.
pub(crate) fn binds_of(function: &FunctionSpec) -> Vec<Bind> {
    if function.image.is_some() {
        return Vec::new();
    }
    // It may be thrown away at any time.
    let compiled =
        |source: &PathBuf| Bind { source: source.clone(), target: CODE_CACHE_DIR.to_owned(), optional: true };
    let mut binds = source_binds_of(function);
    binds.extend(function.code_cache.as_ref().map(compiled));
    binds
}

/// The files that it was deployed with: its package and its layers.
fn source_binds_of(function: &FunctionSpec) -> Vec<Bind> {
    let code = Bind::required(&function.code_dir, TASK_DIR);
    let layers = |source: &PathBuf| Bind::required(source, OPT_DIR);
    std::iter::once(code).chain(function.opt_dir.as_ref().map(layers)).collect()
}

async fn compile_in(
    inner: &Arc<Inner>,
    prepared: &mut Prepared,
    function: &FunctionSpec,
    into: File,
) -> Result<u64, String> {
    let assignment = Assignment {
        binds: source_binds_of(function),
        instead: None,
        env: Vec::new(),
        memory_mib: function.memory_mib.max(MIN_MEMORY_MIB),
        companions: Vec::new(),
    };
    let told = serde_json::json!({ "env": { "LAMBDA_TASK_ROOT": TASK_DIR }, "compile": true });
    prepared.assign(&assignment, Some(told.to_string().into())).map_err(|error| error.to_string())?;
    let mut killing = inner.killing.subscribe();
    tokio::select! {
        received = receive(prepared, into) => received,
        () = tokio::time::sleep(MAX_DURATION) => Err(format!("it took longer than {} s", MAX_DURATION.as_secs())),
        _ = killing.wait_for(|killing| *killing) => Err(InvokeError::ShuttingDown.to_string()),
    }
}

/// Takes pieces of compiled code until there comes one without anything in it.
async fn receive(prepared: &mut Prepared, into: File) -> Result<u64, String> {
    let (mut into, mut length) = (into, 0);
    loop {
        let (connection, piece) = next_piece(prepared).await?;
        if piece.is_empty() {
            return Ok(length);
        }
        length += piece.len() as u64;
        if length > MAX_BYTES {
            return Err(format!("expected at most {MAX_BYTES} bytes of compiled code, got more"));
        }
        let written = blocking(move || into.write_all(&piece).map(|()| into)).await;
        into = written
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("write compiled code: {error}"))?;
        prepared.api.accept(connection);
    }
}

async fn next_piece(prepared: &mut Prepared) -> Result<(usize, Bytes), String> {
    std::future::poll_fn(|context| {
        while let Poll::Ready((connection, call)) = prepared.api.poll_call(context) {
            match call {
                // The question to which the answer was given already.
                Call::Function => {}
                Call::Code { body: Some(body) } => return Poll::Ready(Ok((connection, body))),
                other => return Poll::Ready(Err(format!("its bootstrap said {other:?}"))),
            }
        }
        prepared.reports.poll_end(context).map(|end| Err(format!("it ended: {end:?}")))
    })
    .await
}
