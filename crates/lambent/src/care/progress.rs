//! How far a long command is, on stderr.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lambent_cli::ui;

/// A line that moves where stderr is a terminal, and one sentence elsewhere.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// `total` in bytes or pieces, where it is known; `bytes` says which.
    pub(super) fn start(title: &'static str, total: Option<u64>, bytes: bool) -> Self {
        if !io::stderr().is_terminal() {
            ui::say(format_args!("{title} ..."));
            return Self { bar: None };
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match (total, bytes) {
            (Some(_), true) => "{prefix} {wide_bar} {bytes}/{total_bytes} {eta}",
            (Some(_), false) => "{prefix} {wide_bar} {human_pos}/{human_len} {eta}",
            (None, true) => "{prefix} {bytes} {bytes_per_sec}",
            (None, false) => "{prefix} {human_pos}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(title);
        Self { bar: Some(bar) }
    }

    pub(super) fn of(&self, position: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(position);
        }
    }

    pub(super) fn at(&self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
