//! Tenants of one function, each with environments of its own.

use std::sync::Arc;

use lambent_pool::FunctionSpec;
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Bench, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("tenants_of_a_python_function_share_nothing", python),
        trial("tenants_of_a_node_function_share_nothing", node),
    ]
}

const PYTHON: &str = "
seen = []
def handler(event, context):
    seen.append(context.tenant_id)
    return seen
";

const NODE: &str = "
const seen = [];
exports.handler = async (event, context) => { seen.push(context.tenantId ?? null); return seen; };
";

async fn python() {
    let bench = Bench::new();
    let function = Arc::new(bench.python(PYTHON));
    are_apart(&bench, &function).await;
}

async fn node() {
    let bench = Bench::new();
    let function = Arc::new(bench.node(NODE));
    are_apart(&bench, &function).await;
}

/// The function answers with the tenants that its environment ever saw.
async fn are_apart(bench: &Bench, function: &Arc<FunctionSpec>) {
    let calls = ["blue", "green", "blue", "a/b: c@d=e+f._-", "green", "blue"];
    let mut told = std::collections::BTreeMap::<&str, Vec<&str>>::new();
    for tenant in calls {
        let seen = told.entry(tenant).or_default();
        seen.push(tenant);
        assert_eq!(bench.for_tenant(function, tenant).await.result(), json!(seen));
    }
    // Nor is what a tenant used given to calls without one.
    assert_eq!(bench.again(function, "{}").await.result(), json!([null]));
    assert_eq!((bench.pool.stats().idle, bench.pool.stats().busy), (4, 0));
}
