#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
fn main() {
    lambent_sandbox::run_if_init();
    let dir = tempfile::tempdir().unwrap();
    let caps =
        lambent_sandbox::Sandbox::detect(lambent_sandbox::SandboxConfig { state_dir: dir.path().into() })
            .unwrap();
    for row in &caps.rows {
        println!("{row:?}");
    }
}
