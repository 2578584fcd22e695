//! Running pip.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lambent_runtimes::{Catalogue, Family};

use crate::CliError;
use crate::ui::Steps;

/// Of what pip says on its error output.
const SAID_BYTES_MAX: u64 = 4_096;

pub(super) struct Pip {
    python: PathBuf,
}

impl Pip {
    /// The newest Python of this host that has pip.
    pub(super) fn find(catalogue: &Catalogue) -> Result<Self, CliError> {
        let has_pip = |program: &PathBuf| {
            let mut command = Command::new(program);
            let quiet = command.args(["-I", "-c", "import pip"]).stdout(Stdio::null()).stderr(Stdio::null());
            quiet.status().is_ok_and(|status| status.success())
        };
        let programs = catalogue.interpreters(Family::Python).iter().rev().map(|one| one.program.clone());
        let python = programs.into_iter().find(has_pip);
        Ok(Self { python: python.ok_or(CliError::NoPip)? })
    }

    /// Runs `pip WORDS`; what it collects and downloads moves `steps` on, towards `total`.
    pub(super) fn run(&self, words: &[&OsStr], steps: &mut Steps, total: u32) -> Result<(), CliError> {
        let mut command = Command::new(&self.python);
        command.args(["-I", "-m", "pip"]).args(words);
        command.args(["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(CliError::disk("run", &self.python))?;
        // Read apart, so that neither of the two pipes waits for the other.
        let stderr = child.stderr.take();
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.by_ref().take(SAID_BYTES_MAX).read_to_end(&mut said);
                let _ = std::io::copy(&mut stderr, &mut std::io::sink());
            }
            String::from_utf8_lossy(&said).trim().to_owned()
        });
        let mut done = 0;
        let stdout = child.stdout.take().map(BufReader::new);
        for line in stdout.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
            let line = line.trim();
            if ["Collecting ", "Downloading ", "Using cached ", "Installing "]
                .iter()
                .any(|verb| line.starts_with(verb))
            {
                done = u32::min(done + 1, total);
                steps.step(done, total, line);
            }
        }
        let status = child.wait().map_err(CliError::disk("wait for", &self.python))?;
        let said = said.join().unwrap_or_default();
        if status.success() { Ok(()) } else { Err(CliError::Pip { status: status.to_string(), said }) }
    }
}
