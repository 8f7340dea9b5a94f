//! A vgpuConfig.xml for tests, and runs of the program with it.

use std::fs;

use assert_cmd::Command;
use tempfile::TempDir;
use vgpu_profiles::{Changes, apply};

/// Two boards and three profiles, in every notation that NVIDIA's files have had.
pub const SAMPLE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE vgpuconfig SYSTEM "vgpuConfig.dtd">
<vgpuconfig>
  <version>1.0</version>
  <!-- Maxwell -->
  <vgpuType id="43" name="GRID M10-4Q" class="Quadro">
    <devId vendorId="0x10de" deviceId="0x13BD" subsystemVendorId="0x10de" subsystemId="0x11D1"></devId>
    <profileSize>0x100000000</profileSize>
    <framebuffer>0xEC000000</framebuffer>
    <fbReservation>0x14000000</fbReservation>
    <numHeads>4</numHeads>
    <display width="5120" height="2880"/>
    <maxPixels>36864000</maxPixels>
    <frlConfig>0x3C</frlConfig>
    <cudaEnabled>0</cudaEnabled>
    <frame_rate_limiter>1</frame_rate_limiter>
    <novelty a='1'>kept &amp; untouched</novelty> <!-- of some future release -->
  </vgpuType>
  <vgpuType id="44" name="GRID M10-0B" class="NVS">
    <profileSize>0x20000000</profileSize>
    <framebuffer>0x1A000000</framebuffer>
    <fbReservation>0x6000000</fbReservation>
    <numHeads>2</numHeads>
    <display width="2560" height="1600"></display>
    <frlConfig>0x2d</frlConfig>
    <frame_rate_limiter>0</frame_rate_limiter>
  </vgpuType>
  <vgpuType id="333" name="GRID T4-8C" class="Compute">
    <profileSize>0x200000000</profileSize>
  </vgpuType>
  <pgpu fractionalMultiVgpu="0">
    <devId vendorId="0x10de" deviceId="0x13bd" subsystemVendorId="0x10de" subsystemId="0x0"></devId>
    <supportedVgpu vgpuId="43"><maxVgpus>2</maxVgpus><digest type="signature">00ff</digest></supportedVgpu>
    <supportedVgpu vgpuId="44"><maxVgpus>16</maxVgpus><digest type="signature">11ff</digest></supportedVgpu>
  </pgpu> <!-- Tesla M10 -->
  <!-- Turing -->
  <pgpu fractionalMultiVgpu="1" hostVgpuMode="sriov">
    <devId vendorId="0x10de" deviceId="0x1EB8" subsystemVendorId="0x10de" subsystemId="0x12A2"/>
    <supportedVgpu vgpuId="333">
      <maxVgpus>2</maxVgpus>
    </supportedVgpu>
  </pgpu>
</vgpuconfig>
"#;

/// A directory with SAMPLE as vgpuConfig.xml, and the program run in it.
pub struct Place(pub TempDir);

impl Place {
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("vgpuConfig.xml"), SAMPLE).unwrap();
        Self(directory)
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn profiles(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("vgpu").unwrap();
        command.current_dir(self.0.path()).arg("profiles").args(args);
        command
    }

    /// The output of a command that works.
    pub fn prints(&self, args: &[&str]) -> String {
        let output = self.profiles(args).assert().success().get_output().clone();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Applies changes in place. Returns its output on standard error.
    pub fn applies(&self, changes: &str) -> String {
        fs::write(self.path("changes.json"), changes).unwrap();
        let args = ["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--out", "vgpuConfig.xml"];
        let output = self.profiles(&args).assert().success().get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    }
}

/// The error about changes to SAMPLE, without its first line. Nothing may be written.
pub fn mistake(changes: &str) -> String {
    let place = Place::new();
    fs::write(place.path("changes.json"), changes).unwrap();
    let message =
        failure(&place, &["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--out", "new.xml"]);
    assert!(!place.path("new.xml").exists(), "written in spite of: {message}");
    assert_eq!(place.read("vgpuConfig.xml"), SAMPLE);
    let (first, rest) = message.split_once('\n').unwrap();
    assert_eq!(first, "error: cannot apply changes.json to vgpuConfig.xml");
    rest.to_owned()
}

pub fn failure(place: &Place, args: &[&str]) -> String {
    let output = place.profiles(args).assert().code(1).stdout("").get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

pub fn changes(json: &str) -> Changes {
    Changes::parse(json.as_bytes()).unwrap()
}

pub fn applied(text: &str, json: &str) -> String {
    apply(text, &changes(json)).unwrap().text
}

/// The lines that differ, as - and + lines.
pub fn difference(old: &str, new: &str) -> String {
    let diff = similar::TextDiff::from_lines(old, new);
    diff.iter_all_changes()
        .filter(|change| change.tag() != similar::ChangeTag::Equal)
        .map(|change| format!("{}{}", change.tag(), change.value()))
        .collect()
}
