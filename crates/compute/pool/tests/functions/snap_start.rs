//! SnapStart: published versions start from snapshots.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use lambent_pool::FunctionSpec;
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, descendants, join_all, trial};
use crate::waiting::is_of;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("snap_start_forks_what_was_loaded_once", forks),
        trial("snap_start_of_two_functions_never_mixes", two_functions),
        trial("snap_start_starts_otherwise_where_it_cannot_fork", cannot_fork),
        trial("snap_start_hooks_that_fail_are_reported", hooks_fail),
        trial("snap_start_ends_with_its_keep_alive", keep_alive),
    ]
}

fn published(bench: &Bench, code: &str) -> Arc<FunctionSpec> {
    let mut function = bench.python(code);
    function.snap_start = true;
    function.key.version = "1".to_owned();
    Arc::new(function)
}

/// Meets the others at the platform, so that each needs an environment of its own.
const UNIQUE: &str = "
import os, random, uuid, urllib.request
from snapshot_restore_py import register_before_snapshot, register_after_restore
hooks = []
register_before_snapshot(hooks.append, 'before')
register_after_restore(lambda: hooks.append('after ' + os.environ['AWS_LAMBDA_LOG_STREAM_NAME']))
random.random()
loaded = uuid.uuid4().hex
print('loading')
def handler(event, context):
    urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL']).read()
    return [loaded, uuid.uuid4().hex, random.random(), os.getpid(), hooks, os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'],
        context.log_stream_name]
";

async fn forks() {
    let (bench, _) = Bench::meeting(4);
    let function = published(&bench, UNIQUE);
    let answers = join_all((0..4).map(|_| bench.again(&function, "{}")).collect()).await;
    let mut seen = HashSet::new();
    for answer in &answers {
        let result = answer.result();
        assert_eq!(result[0], answers[0].result()[0], "it was loaded once");
        assert!(seen.insert(result[1].to_string()) && seen.insert(result[2].to_string()), "{result}");
        let stream = result[6].as_str().unwrap();
        assert_eq!(result[4], json!(["before", format!("after {stream}")]));
        assert!(seen.insert(stream.to_owned()));
        assert_eq!((&result[5], stream), (&json!("snap-start"), answer.0.record.log_stream.as_str()));
        let record = &answer.0.record;
        let restore = record.restore.unwrap();
        assert!(record.cold_start && record.init_ms.is_none() && restore.ms > 0.0);
        assert!(record.billed_ms >= restore.billed_ms);
        assert!(answer.tail().contains("\tRestore Duration: "), "{}", answer.tail());
    }
    assert_eq!(bench.again(&function, "{}").await.0.record.restore, None, "that one was warm");
    let logged = bench.all_logged().await;
    let count = |start: &str| logged.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!([count("INIT_START "), count("loading"), count("INIT_REPORT Init Duration: ")], [1; 3]);
    assert_eq!(
        [count("RESTORE_START Runtime Version: "), count("RESTORE_REPORT Restore Duration: ")],
        [4; 2]
    );
}

async fn two_functions() {
    let bench = Bench::new();
    let code = |name: &str| {
        format!(
            "mine = '{name}'\ndef handler(event, context): return [mine, __import__('sys').modules['app'].mine]\n"
        )
    };
    let functions: Vec<_> = (0..4).map(|at| published(&bench, &code(&format!("f{at}")))).collect();
    for _ in 0..2 {
        let answers = join_all(functions.iter().map(|one| bench.again(one, "{}")).collect()).await;
        for (at, answer) in answers.iter().enumerate() {
            assert_eq!(answer.result(), json!([format!("f{at}"), format!("f{at}")]));
        }
    }
}

async fn cannot_fork() {
    let bench = Bench::new();
    let code = "import os\nends = os.pipe()\ndef handler(event, context): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n";
    let function = published(&bench, code);
    for _ in 0..2 {
        let answer = bench.again(&function, "{}").await;
        assert_eq!(answer.result(), json!("on-demand"));
    }
    let logged = bench.all_logged().await;
    let why = "[WARN]\tSnapStart: this version starts without a snapshot: the function holds pipe:";
    assert_eq!(logged.iter().filter(|line| line.starts_with(why)).count(), 1, "{logged:#?}");
}

async fn hooks_fail() {
    let bench = Bench::new();
    for (hook, kind, phase) in [
        ("before_snapshot", "Runtime.BeforeSnapshotError", "INIT_REPORT "),
        ("after_restore", "Runtime.AfterRestoreError", "RESTORE_REPORT "),
    ] {
        let code = format!(
            "import snapshot_restore_py\n\
             @snapshot_restore_py.register_{hook}\n\
             def hook(): raise ValueError('no {hook}')\n\
             def handler(event, context): return 0\n"
        );
        let function = published(&bench, &code);
        for _ in 0..2 {
            let answer = bench.again(&function, "{}").await;
            assert_eq!(answer.0.record.error_type.as_deref(), Some(kind));
            assert_eq!(answer.error()["errorMessage"], json!(format!("no {hook}")));
        }
        bench.pool.flush_logs().await;
        let batches = bench.sink.batches.lock().unwrap();
        let mut lines = batches.iter().flat_map(|batch| &batch.events).map(|event| event.message.as_str());
        assert!(
            lines.any(|line| line.starts_with(phase) && line.ends_with(&format!("Error Type: {kind}\n")))
        );
    }
}

async fn keep_alive() {
    let bench =
        Bench::with(|config| config.idle_timeout = Duration::from_millis(300), lambent_base::Clock::system());
    let function = published(&bench, "def handler(event, context): return 0\n");
    assert_eq!(bench.again(&function, "{}").await.result(), json!(0));
    let runs = || descendants().iter().any(|one| is_of(one.pid, &bench));
    assert!(runs());
    let gone = async {
        while runs() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), gone).await.is_ok(), "nothing runs any more");
    assert_eq!(bench.again(&function, "{}").await.result(), json!(0), "it is made again");
}
