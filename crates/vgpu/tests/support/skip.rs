//! Tests that cannot run everywhere say so, even where the output of tests that pass is not shown.

use std::io::Write;

/// Says that a test is skipped, and why. This is a failure if the environment variable `required` is set.
pub fn skip(why: &str, required: &str) {
    assert!(std::env::var_os(required).is_none(), "{required} is set, but {why}");
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // The test harness would hide the output of eprintln!.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
}
