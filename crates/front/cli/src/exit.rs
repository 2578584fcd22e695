//! How commands end.

/// Everything was done.
pub const DONE: u8 = 0;
/// Something failed, stderr says what; `check`: there are problems, stdout says which.
pub const FAILED: u8 = 1;
/// The command line was not understood.
pub const USAGE: u8 = 2;
/// `doctor`: this host cannot isolate functions fully.
pub const WEAK_ISOLATION: u8 = 3;
/// No cloud is running in the data directory.
pub const NO_CLOUD: u8 = 4;
/// Stopped by a signal, as Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Every exit code of every command, with its meaning.
pub const TABLE: [(u8, &str); 6] = [
    (DONE, "done"),
    (FAILED, "something failed, stderr says what; check: there are problems"),
    (USAGE, "the command line was not understood"),
    (WEAK_ISOLATION, "doctor: this host cannot isolate functions fully"),
    (NO_CLOUD, "no cloud is running in the data directory"),
    (INTERRUPTED, "stopped by a signal, as Ctrl-C"),
];
