//! Writes the guests of the tests as files: `guests FOLDER` makes `FOLDER/NAME.wasm` of each.

#[path = "../guests/mod.rs"]
mod guests;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    std::fs::create_dir_all(&folder)?;
    for (name, bytes) in guests::all() {
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.wasm")), bytes)?;
    }
    Ok(())
}
