//! Calls every operation of Lambda that the platform has through the official SDK, in the order in which somebody would,
//! and prints the names of the operations. What is not as it should be ends it with a panic that says where.

mod chapters;
mod stage;

use stage::Stage;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut stage = Stage::from_env();
    chapters::functions(&mut stage).await;
    chapters::versions_and_aliases(&mut stage).await;
    chapters::policies(&mut stage).await;
    chapters::layers(&mut stage).await;
    chapters::tags(&mut stage).await;
    chapters::concurrency(&mut stage).await;
    chapters::asynchronous_calls(&mut stage).await;
    chapters::urls_and_streams(&mut stage).await;
    chapters::code_signing(&mut stage).await;
    chapters::runtime_management(&mut stage).await;
    chapters::event_source_mappings(&mut stage).await;
    for operation in &stage.called {
        println!("{operation}");
    }
}
