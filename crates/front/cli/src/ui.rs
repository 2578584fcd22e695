//! Stdout for results, stderr for everything else; colours only where a terminal shows them.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::CliError;
pub use crate::text::{count, harmless, size, time};

const NO_COLOR: &str = "NO_COLOR";

/// Runs the future of a command to its end and says what went wrong.
pub fn finish(result: Result<u8, CliError>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if !matches!(error, CliError::Closed) {
                complain(&error, error.hint().as_deref());
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs a command that waits for the network.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CliError::Start)?.block_on(work)
}

/// Writes a result to stdout, as it is.
pub fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::Closed,
        _ => CliError::Output(error),
    })
}

/// Says something to the person, on stderr.
pub fn say(text: impl Display) {
    // Nobody may be listening; that is no reason to stop.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says that something is not as it should be, but goes on.
pub fn warn(text: impl Display) {
    say(format_args!("{} {text}", paint("33;1", "warning:", io::stderr().is_terminal())));
}

pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Faint text, where stdout shows it.
pub(crate) fn faint(text: &str) -> String {
    paint("2", text, stdout_is_terminal())
}

/// Says that a command failed, and what to do next.
pub fn complain(error: &dyn Display, hint: Option<&str>) {
    let terminal = io::stderr().is_terminal();
    say(format_args!("{} {error}", paint("31;1", "error:", terminal)));
    if let Some(hint) = hint {
        say(format_args!("\n{} {hint}", paint("36;1", "hint:", terminal)));
    }
}

fn paint(code: &str, text: &str, terminal: bool) -> String {
    if terminal && lambent_base::env::var(NO_COLOR).is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// How far some work is: a bar where stderr is a terminal, a line for each step elsewhere.
pub(crate) struct Steps {
    bar: Option<ProgressBar>,
    last: String,
}

impl Steps {
    pub(crate) fn start(title: &'static str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.set_prefix(title);
            bar
        });
        if bar.is_none() {
            say(format_args!("{title} ..."));
        }
        Self { bar, last: String::new() }
    }

    pub(crate) fn step(&mut self, done: u32, total: u32, message: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(u64::from(total));
                bar.set_position(u64::from(done));
                bar.set_message(message.to_owned());
            }
            None if self.last != message => {
                say(format_args!("  {done}/{total} {message}"));
                message.clone_into(&mut self.last);
            }
            None => {}
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
