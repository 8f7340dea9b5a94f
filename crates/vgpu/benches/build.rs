//! `vgpu build` against the floor and against what people use today, in one run, as ratios.
//!
//! - the floor: `tail -n +$skip FILE | zstd -d | tar x`, unpacking and nothing else;
//! - today's pipeline: `sh FILE -x`, cp, and patchelf over every library.
//!
//! Give a real .run file (zstd) and a place in memory, and with --zip the archive around it, too; needs zstd, tar, and patchelf
//! for the pipeline:
//!
//! ```console
//! $ cargo bench --bench build -- NVIDIA-Linux-x86_64-550.163.01-grid.run --in /dev/shm
//! ```

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use vgpu_driver::archive::makeself::Header;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
struct Args {
    /// A guest .run file with a zstd payload
    run: Option<PathBuf>,
    /// The GRID archive with this file in it, which is built from as well
    #[arg(long)]
    zip: Option<PathBuf>,
    /// Directory to work in; on tmpfs the disk doesn't count
    #[arg(long = "in", default_value = "/dev/shm")]
    place: PathBuf,
    /// Rounds; the median of each contestant counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// cargo bench says this
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let Some(run) = args.run else {
        println!(
            "Skipped: give a real .run file, see benches/build.rs. On a sample, starting programs is all there is."
        );
        return Ok(());
    };
    let run = run.canonicalize()?;
    let work = tempfile::tempdir_in(&args.place)?;
    let skip = Header::parse(&fs::read(&run)?)?.lines + 1;
    let has_patchelf = Command::new("patchelf").arg("--version").stdout(Stdio::null()).status().is_ok();
    let zip = args.zip.map(|zip| zip.canonicalize()).transpose()?;
    let (mut floor, mut vgpu, mut of_zip, mut today, mut memory) = (vec![], vec![], vec![], vec![], 0);
    // Interleaved, so that whatever else the machine does meets all of them.
    for _ in 0..args.rounds {
        floor.push(time(work.path(), |out| unpack(&run, skip, out))?);
        vgpu.push(time(work.path(), |out| {
            memory = memory.max(build(&run, out)?);
            Ok(())
        })?);
        if let Some(zip) = &zip {
            of_zip.push(time(work.path(), |out| build(zip, out).map(drop))?);
        }
        if has_patchelf {
            today.push(time(work.path(), |out| pipeline(&run, out))?);
        }
    }
    let (floor, vgpu) = (median(floor), median(vgpu));
    println!("floor     1.00   tail | zstd -d | tar x");
    println!("vgpu      {:.2}   vgpu build; peak memory {memory} MB", vgpu.as_secs_f64() / floor.as_secs_f64());
    if zip.is_some() {
        let of_zip = median(of_zip).as_secs_f64();
        println!("from .zip {:.2}   {:.2} of vgpu", of_zip / floor.as_secs_f64(), of_zip / vgpu.as_secs_f64());
    }
    if has_patchelf {
        let today = median(today);
        println!("today     {:.2}   sh -x, cp, patchelf", today.as_secs_f64() / floor.as_secs_f64());
        println!("vgpu is {:.1} times as fast as today's pipeline", today.as_secs_f64() / vgpu.as_secs_f64());
    } else {
        println!("today     skipped: no patchelf here");
    }
    Ok(())
}

/// How long `work` takes to fill a directory, which is removed afterwards.
fn time(place: &Path, work: impl FnOnce(&Path) -> Result<()>) -> Result<Duration> {
    let out = place.join("out");
    let start = Instant::now();
    work(&out)?;
    let taken = start.elapsed();
    fs::remove_dir_all(out)?;
    Ok(taken)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn shell(script: &str, run: &Path, out: &Path) -> Result<()> {
    let status = Command::new("sh").args(["-euc", script, "sh"]).arg(run).arg(out).status()?;
    if status.success() { Ok(()) } else { Err(format!("{script}: {status}").into()) }
}

fn unpack(run: &Path, skip: u64, out: &Path) -> Result<()> {
    shell(&format!("mkdir \"$2\"; tail -n +{skip} \"$1\" | zstd -d -q | tar -x -C \"$2\""), run, out)
}

/// Builds, and gives the peak memory in megabytes.
fn build(run: &Path, out: &Path) -> Result<u64> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vgpu"))
        .args(["build", "--role", "guest", "--out"])
        .args([out, run])
        .stdout(Stdio::null())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes: u64 = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        peak = peak.max(kilobytes / 1000);
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(peak) } else { Err(format!("vgpu build: {status}").into()) };
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the NixOS flake of the past did, without its patching: unpack, copy to the output, patchelf each library.
fn pipeline(run: &Path, out: &Path) -> Result<()> {
    shell(
        "mkdir \"$2\" \"$2/lib\" \"$2/lib32\"; sh \"$1\" -x --target \"$2/unpacked\" >/dev/null
         cp -p \"$2\"/unpacked/*.so* \"$2/lib\"; cp -p \"$2\"/unpacked/32/*.so* \"$2/lib32\"
         for library in \"$2\"/lib/*.so* \"$2\"/lib32/*.so*; do patchelf --set-rpath \"$2/lib\" \"$library\"; done
         cp \"$2/unpacked/nvidia-smi\" \"$2\"; patchelf --set-rpath \"$2/lib\" \"$2/nvidia-smi\"
         cp -r \"$2/unpacked/firmware\" \"$2/unpacked/kernel\" \"$2/unpacked/nvoptix.bin\" \"$2/lib\"",
        run,
        out,
    )
}
