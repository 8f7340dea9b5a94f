//! `vgpu identify` with complete and broken files, and its entries for the catalog.

mod support;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::Sandbox;
use vgpu::catalog::{self, Catalog};
use vgpu::nix::sri::Sri;
use vgpu_driver::Role;
use vgpu_sample as sample;

fn sri(content: &[u8]) -> String {
    Sri::of_digest(Sha256::digest(content).into()).to_string()
}

/// A directory with the sample archive and a catalog in which its release has this hash, confirmed or of one record.
fn place(zip_sha256: Option<(&str, bool)>) -> (Sandbox, String, Vec<u8>) {
    let sandbox = Sandbox::new();
    let (name, content) = sample::grid_archive().unwrap();
    sandbox.write(&name, &content);
    let mut catalog = "[[branch]]\nbranch = \"17\"\ndriver = 550\nlong_term = false\n[[release]]\nrelease = \"17.6\"\n\
                       host = \"550.163.02\"\nguest = \"550.163.01\"\nwindows = \"553.74\"\n"
        .to_owned();
    if let Some((hash, confirmed)) = zip_sha256 {
        catalog += &format!("zip_sha256 = \"{hash}\"\n");
        catalog += if confirmed { "" } else { "unconfirmed = [\"zip_sha256\"]\n" };
    }
    sandbox.write("catalog.toml", catalog);
    (sandbox, name, content)
}

struct Said {
    stdout: String,
    stderr: String,
}

fn identify(sandbox: &Sandbox, args: &[&str], code: i32) -> Said {
    let mut command = sandbox.vgpu(&["identify", "--catalog", "catalog.toml"]);
    let output = command.args(args).assert().code(code).get_output().clone();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The last line: what the catalog says.
fn verdict(said: &Said) -> &str {
    said.stdout.lines().last().unwrap().trim()
}

const OTHER: &str = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[test]
fn an_archive_is_described() {
    let content = sample::grid_archive().unwrap().1;
    let (sandbox, name, _) = place(Some((&sri(&content), true)));
    let said = identify(&sandbox, &[&name], 0);
    let text = said.stdout.replace(&sri(&content), "sha256-…").replace(&content.len().to_string(), "N");
    let text: String =
        text.lines().filter(|line| !line.contains("size")).fold(String::new(), |all, line| all + line + "\n");
    insta::assert_snapshot!(text, @r"
    NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip
      kind      GRID archive
      release   17.6
      host      550.163.02  Host_Drivers/NVIDIA-Linux-x86_64-550.163.02-vgpu-kvm.run
      guest     550.163.01  Guest_Drivers/NVIDIA-Linux-x86_64-550.163.01-grid.run
      windows   553.74
      sha256    sha256-…
      whole     yes, by its hash
      catalog   match: this is the file NVIDIA published
    ");
    assert_eq!(said.stderr, "");
    identify(&sandbox, &["--check", &name], 0);
}

#[test]
fn a_hash_of_one_record_is_called_that() {
    let content = sample::grid_archive().unwrap().1;
    let (sandbox, name, _) = place(Some((&sri(&content), false)));
    let said = identify(&sandbox, &["--check", &name], 0);
    assert_eq!(
        verdict(&said),
        "catalog   match with one public record; nobody has confirmed yet that it is NVIDIA's file"
    );

    let (sandbox, name, _) = place(Some((OTHER, false)));
    let said = identify(&sandbox, &[&name], 0);
    assert_eq!(verdict(&said), "catalog   MISMATCH: one public record has another hash for these drivers");
    assert!(said.stderr.contains("may be wrong itself: if NVIDIA gave you this file, use it"), "{}", said.stderr);
    let json: Value = serde_json::from_str(&identify(&sandbox, &["--json", &name], 0).stdout).unwrap();
    assert_eq!(
        (&json["catalog"], &json["voucher"], &json["whole"]),
        (&json!("mismatch"), &json!("one_record"), &json!(true))
    );
}

#[test]
fn a_mismatch_is_explained_and_fails_where_that_is_wanted() {
    let (sandbox, name, _) = place(Some((OTHER, true)));
    let said = identify(&sandbox, &[&name], 0);
    assert_eq!(verdict(&said), "catalog   MISMATCH: the catalog has another hash for these drivers");
    assert!(said.stderr.contains("packed again by a mirror"), "{}", said.stderr);
    let said = identify(&sandbox, &["--check", &name], 1);
    insta::assert_snapshot!(said.stderr, @r"
    error: NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip is not the file that the catalog has
    help: the file is whole, so the download was not cut short: it was packed again by a mirror, or somebody changed it. Get it from NVIDIA's licensing portal. If you trust it, take the .run file out of it and import that
    ");
    let said = identify(&sandbox, &["--check", "--quick", &name], 1);
    assert!(said.stderr.contains("without --quick"), "{}", said.stderr);
    assert!(said.stdout.contains("whole     not checked"), "{}", said.stdout);
}

#[test]
fn a_run_file_gets_advice_for_a_run_file() {
    let (sandbox, _, _) = place(None);
    let (name, content) = sample::run_file(Role::Guest).unwrap();
    sandbox.write(&name, &content);
    let text = std::fs::read_to_string(sandbox.path("catalog.toml")).unwrap();
    sandbox.write("catalog.toml", format!("{text}guest_sha256 = \"{OTHER}\"\n"));
    let said = identify(&sandbox, &["--check", &name], 1);
    assert!(said.stderr.contains("GRID/vGPU17.6/NVIDIA-Linux-x86_64-550.163.01-grid.run"), "{}", said.stderr);
    assert!(said.stderr.contains("driverSource") && !said.stderr.contains("take the .run file out"), "{}", said.stderr);
}

#[test]
fn a_truncated_download_is_damaged() {
    let (sandbox, _, _) = place(None);
    let (name, content) = sample::run_file(Role::Guest).unwrap();
    sandbox.write(&name, &content[..content.len() - 1000]);
    let said = identify(&sandbox, &[&name], 1);
    assert!(said.stderr.contains("is damaged or incomplete: its CRC is"), "{}", said.stderr);
    assert_eq!(said.stdout, "");
    // --quick is for a short look at a file.
    let said = identify(&sandbox, &["--quick", &name], 0);
    assert!(said.stdout.contains("whole     not checked"), "{}", said.stdout);
    let json: Value = serde_json::from_str(&identify(&sandbox, &["--quick", "--json", &name], 0).stdout).unwrap();
    assert_eq!(json["whole"], Value::Null);
}

#[test]
fn profiles_are_no_web_page() {
    let (sandbox, _, _) = place(None);
    sandbox.write("vgpuConfig.xml", "<?xml version=\"1.0\"?>\n<vgpuconfig></vgpuconfig>\n");
    let said = identify(&sandbox, &["vgpuConfig.xml"], 1);
    insta::assert_snapshot!(said.stderr, @r"
    error: cannot identify vgpuConfig.xml
    cause: vgpuConfig.xml is the list of vGPU profiles of a host driver (vgpuConfig.xml), not a driver
    help: `vgpu profiles list --config FILE` reads it; drivers are in GRID .zip and .run files
    ");
}

/// The printed entry can be put into the catalog unchanged, after the branches, where the newest release is.
#[test]
fn an_entry_for_the_catalog_can_be_pasted() {
    let (sandbox, name, content) = place(None);
    let printed = identify(&sandbox, &["--catalog-entry", "--release", "17.7", &name], 0);
    assert!(printed.stderr.contains("only for a file that NVIDIA gave you"), "{}", printed.stderr);
    let at = catalog::TEXT.find("\n[[release]]\nrelease = \"17.6\"").unwrap();
    let text = format!("{}\n{}{}", &catalog::TEXT[..at], printed.stdout, &catalog::TEXT[at..]);
    let catalog = Catalog::parse(&text).unwrap();
    let entry = catalog.find(&"17.7".parse().unwrap()).unwrap();
    assert_eq!(entry.zip_sha256.unwrap().to_string(), sri(&content));
    assert_eq!(entry.guest_sha256.unwrap().to_string(), sri(&sample::run_file(Role::Guest).unwrap().1));
    assert_eq!(
        (entry.host.as_str(), entry.guest.as_str(), entry.windows.as_str()),
        ("550.163.02", "550.163.01", "553.74")
    );
    assert_eq!(entry.zip_name(), name);
    assert!(entry.unconfirmed.is_empty());

    // If the catalog does not know the release, the user must give it. A part of an archive makes no entry.
    assert!(identify(&sandbox, &["--catalog-entry", &name], 0).stdout.contains("release = \"17.6\""));
    sandbox.write("catalog.toml", "");
    assert!(identify(&sandbox, &["--catalog-entry", &name], 1).stderr.contains("give it with --release"));
    let (run, content) = sample::run_file(Role::Guest).unwrap();
    sandbox.write(&run, content);
    let said = identify(&sandbox, &["--catalog-entry", "--release", "17.7", &run], 1);
    assert!(said.stderr.contains("give the whole GRID archive"), "{}", said.stderr);
}
