//! `vgpu identify` against reading alone and against sha256sum, in one run, as ratios. `vgpu import` does the same reading.
//!
//! With `--quick`, and for a file whose hash the catalog has, it computes the SHA-256 alone. Otherwise it also compares the check
//! sums inside, in a second pass. Give a real archive, twice as small as memory, so that it is read from there:
//!
//! ```console
//! $ cargo bench --bench identify -- NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip
//! ```

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

#[derive(Parser)]
struct Args {
    /// A GRID archive or .run file
    file: Option<PathBuf>,
    /// Rounds; the median of each contestant counts
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// cargo bench says this
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let Some(file) = args.file else {
        println!(
            "Skipped: give a real archive, see benches/identify.rs. On a sample, starting programs is all there is."
        );
        return;
    };
    let vgpu = env!("CARGO_BIN_EXE_vgpu");
    let contestants: [&[&str]; 4] = [&["cat"], &["sha256sum"], &[vgpu, "identify", "--quick"], &[vgpu, "identify"]];
    let mut times = vec![vec![]; contestants.len()];
    // Interleaved, so that whatever else the machine does meets all of them.
    for _ in 0..args.rounds {
        for (command, times) in contestants.iter().zip(&mut times) {
            let start = Instant::now();
            let status = Command::new(command[0])
                .args(&command[1..])
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(status.unwrap().success(), "{command:?}");
            times.push(start.elapsed());
        }
    }
    let medians: Vec<f64> = times.into_iter().map(|times| median(times).as_secs_f64()).collect();
    for (command, taken) in contestants.iter().zip(&medians) {
        let name = command.join(" ").replace(vgpu, "vgpu");
        println!("{:>6.2}  {name}", taken / medians[1]);
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
