//! A part of the terminal that is drawn again and again, with plain ANSI sequences.

use std::io;

use rustix::termios::tcgetwinsize;

use crate::{CliError, ui};

/// Another screen, so that what was on this one is there again afterwards; without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE_END: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// For a terminal that does not say what it is.
const COLUMNS_DEFAULT: u16 = 80;
const ROWS_DEFAULT: u16 = 24;

/// The terminal that stdout is, until this is dropped.
pub(crate) struct Screen(());

impl Screen {
    pub(crate) fn enter() -> Result<Self, CliError> {
        ui::print(ENTER)?;
        Ok(Self(()))
    }

    /// Shows the beginning of a text, as much of it as there is room for.
    pub(crate) fn draw(&self, text: &str) -> Result<(), CliError> {
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
        let (rows, columns) = size.map_or((ROWS_DEFAULT, COLUMNS_DEFAULT), |size| (size.ws_row, size.ws_col));
        ui::print(&frame(text, usize::from(rows), usize::from(columns)))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Whoever has taken the terminal away needs it no more.
        let _ = ui::print(LEAVE);
    }
}

/// What draws a text over the last one.
fn frame(text: &str, rows: usize, columns: usize) -> String {
    let lines = text.lines().take(rows).map(|line| {
        let line: String = line.chars().take(columns).collect();
        line + CLEAR_LINE_END
    });
    let lines: Vec<String> = lines.collect();
    // No line end after the last one, which would scroll a full screen.
    format!("{HOME}{}{CLEAR_BELOW}", lines.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_keeps_within_its_terminal() {
        let drawn = frame("one\ntwo is long\nthree\n", 2, 5);
        assert_eq!(drawn, "\x1b[Hone\x1b[K\r\ntwo i\x1b[K\x1b[J");
    }
}
