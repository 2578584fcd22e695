//! Writes the components as files: `lambent-test-components FOLDER` makes `FOLDER/NAME.wasm` of each.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    std::fs::create_dir_all(&folder)?;
    for (name, bytes) in lambent_test_components::all() {
        std::fs::write(folder.join(format!("{name}.wasm")), bytes)?;
    }
    Ok(())
}
