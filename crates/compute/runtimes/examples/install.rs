//! Installs the packages of both families into a folder and says how it goes.
//!
//! `cargo run -p lambent-runtimes --example install -- DATA_DIR`

use lambent_runtimes::{Catalogue, Family, install};

fn main() {
    let data_dir = std::env::args_os().nth(1).map_or_else(|| "lambent-data".into(), std::path::PathBuf::from);
    let catalogue = Catalogue::new();
    for family in [Family::Python, Family::Node] {
        println!("{:?}", catalogue.interpreters(family));
        let installed = install(family, &catalogue, &data_dir, &mut |progress| {
            println!("{:>3} of {}: {}", progress.done, progress.total, progress.message);
        });
        if let Err(error) = installed {
            println!("{error}");
        }
    }
}
