//! Any bytes as a token: it is explained or refused, and what is printed of it can't take over a terminal.

#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use vgpu::license::token;

fuzz_target!(|data: &[u8]| {
    let Ok(token) = token::parse(data, SystemTime::UNIX_EPOCH) else { return };
    for problem in &token.problems {
        assert!(!problem.chars().any(char::is_control), "{problem:?}");
    }
});
