//! Tests that cannot run everywhere say so, even where the output of tests that pass is not shown.

use std::io::Write;

/// Says that a test is skipped and why; a failure where the environment variable `required` is set.
pub fn skip(why: &str, required: &str) {
    assert!(std::env::var_os(required).is_none(), "{required} is set, but {why}");
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not eprintln!: the test harness would keep it to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
}
