//! A vgpuConfig.xml of NVIDIA's size (700 KB, 600 profiles, 40 physical GPUs), read, changed and written. Goal: under 50 ms.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use vgpu_profiles::{Changes, Config, apply, file};

const PROFILES: usize = 600;
const GPUS: usize = 40;

fn vgpu_config() -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<vgpuconfig>\n  <version>1.0</version>\n".to_owned();
    for id in 1..=PROFILES {
        profile(&mut text, id).unwrap();
    }
    for gpu in 0..GPUS {
        physical_gpu(&mut text, gpu).unwrap();
    }
    text + "</vgpuconfig>\n"
}

fn profile(text: &mut String, id: usize) -> std::fmt::Result {
    writeln!(text, "  <vgpuType id=\"{id}\" name=\"GRID P40-{id}Q\" class=\"Quadro\">")?;
    writeln!(
        text,
        "    <devId vendorId=\"0x10de\" deviceId=\"0x1B38\" subsystemVendorId=\"0x10de\" subsystemId=\"0x{id:04X}\"/>"
    )?;
    for (name, value) in [
        ("profileSize", "0x40000000"),
        ("framebuffer", "0x38000000"),
        ("fbReservation", "0x8000000"),
        ("numHeads", "4"),
        ("maxPixels", "14745600"),
        ("mappableVideoSize", "0x400000"),
        ("frlConfig", "0x2d"),
        ("cudaEnabled", "0"),
        ("eccSupported", "0"),
        ("multiVgpuSupported", "0"),
        ("encoderCapacity", "0x64"),
        ("bar1Length", "0x100"),
        ("frame_rate_limiter", "1"),
        ("license", "VPC;QVDWS;VWS;VWSExt"),
    ] {
        writeln!(text, "    <{name}>{value}</{name}>")?;
    }
    writeln!(text, "    <display width=\"5120\" height=\"2880\"/>\n  </vgpuType>")
}

fn physical_gpu(text: &mut String, gpu: usize) -> std::fmt::Result {
    writeln!(text, "  <pgpu fractionalMultiVgpu=\"0\">")?;
    writeln!(
        text,
        "    <devId vendorId=\"0x10de\" deviceId=\"0x{:04X}\" subsystemVendorId=\"0x10de\" subsystemId=\"0x0\"/>",
        0x1b00 + gpu
    )?;
    for id in (0..PROFILES).filter(|id| id % GPUS == gpu) {
        writeln!(text, "    <supportedVgpu vgpuId=\"{}\">\n      <maxVgpus>24</maxVgpus>", id + 1)?;
        writeln!(text, "      <digest type=\"signature\">{:0>256x}</digest>\n    </supportedVgpu>", id)?;
    }
    writeln!(text, "  </pgpu>")
}

/// Two clones and every kind of override.
const CHANGES: &str = r#"{"clones": {"1F00:0001": "1B05:0", "1B20:0": "1B06:0"}, "overrides": {
    "7": {"vramAllocation": 3584, "maxInstances": 1, "heads": 1, "enableCuda": true, "display": {"width": 1920, "height": 1080}},
    "599": {"framerateLimit": 144, "xmlConfig": {"eccSupported": "1", "display": {"refresh": "60"}, "new": "1"}}}}"#;

fn read_change_write(config: &Path, out: &Path) {
    let changes = Changes::parse(CHANGES.as_bytes()).unwrap();
    let text = file::read(config).unwrap();
    file::write(out, &apply(&text, &changes).unwrap().text).unwrap();
}

fn benchmark(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("vgpuConfig.xml");
    let text = vgpu_config();
    println!("{} KB, {PROFILES} profiles, {GPUS} physical GPUs", text.len() / 1000);
    std::fs::write(&config, &text).unwrap();

    let mut group = criterion.benchmark_group("vgpuConfig.xml");
    group.bench_function("read", |bencher| bencher.iter(|| Config::parse(black_box(&text)).unwrap().profiles.len()));
    let out = directory.path().join("new.xml");
    group.bench_function("read, change, write", |bencher| bencher.iter(|| read_change_write(&config, &out)));
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
