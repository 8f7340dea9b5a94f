//! vgpuConfig.xml: listed, shown and changed; what was not asked for stays byte for byte.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use assert_cmd::Command;
use insta::assert_snapshot;
use tempfile::TempDir;
use vgpu_profiles::gpu_id::GpuId;
use vgpu_profiles::{Changes, Config, apply};

/// Two boards and three profiles, in every manner of writing that NVIDIA's files have had.
const SAMPLE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
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
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("vgpuConfig.xml"), SAMPLE).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn profiles(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("vgpu").unwrap();
        command.current_dir(self.0.path()).arg("profiles").args(args);
        command
    }

    /// What a command prints when it works.
    fn prints(&self, args: &[&str]) -> String {
        let output = self.profiles(args).assert().success().get_output().clone();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Applies changes in place; what it prints on standard error.
    fn applies(&self, changes: &str) -> String {
        fs::write(self.path("changes.json"), changes).unwrap();
        let args = ["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--out", "vgpuConfig.xml"];
        let output = self.profiles(&args).assert().success().get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    }
}

/// The error about changes to SAMPLE, without its first line. Nothing may be written.
fn mistake(changes: &str) -> String {
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

fn failure(place: &Place, args: &[&str]) -> String {
    let output = place.profiles(args).assert().code(1).stdout("").get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

fn changes(json: &str) -> Changes {
    Changes::parse(json.as_bytes()).unwrap()
}

fn applied(text: &str, json: &str) -> String {
    apply(text, &changes(json)).unwrap().text
}

/// The lines that differ, as - and + lines.
fn difference(old: &str, new: &str) -> String {
    let diff = similar::TextDiff::from_lines(old, new);
    diff.iter_all_changes()
        .filter(|change| change.tag() != similar::ChangeTag::Equal)
        .map(|change| format!("{}{}", change.tag(), change.value()))
        .collect()
}

#[test]
fn list_groups_profiles_by_physical_gpu() {
    let place = Place::new();
    assert_snapshot!(place.prints(&["list", "--config", "vgpuConfig.xml"]), @"
    Physical GPU 13BD:0000, GRID M10, any subsystem
    ID  NAME         CLASS    MIB  HEADS  DISPLAY     FPS  CUDA  FIT
    43  GRID M10-4Q  Quadro  4096      4  5120x2880    60  no      2
    44  GRID M10-0B  NVS      512      2  2560x1600  none  -      16

    Physical GPU 1EB8:12A2, GRID T4, SR-IOV
     ID  NAME        CLASS     MIB  HEADS  DISPLAY  FPS  CUDA  FIT
    333  GRID T4-8C  Compute  8192      -  -          -  -       2
    ");
    assert_snapshot!(place.prints(&["list", "--config", "vgpuConfig.xml", "--gpu", "1eb8"]), @"
    Physical GPU 1EB8:12A2, GRID T4, SR-IOV
     ID  NAME        CLASS     MIB  HEADS  DISPLAY  FPS  CUDA  FIT
    333  GRID T4-8C  Compute  8192      -  -          -  -       2

       8C [8C                          ][8C                          ] 2 x 8 GiB
    ");
}

/// As `lspci -nn` prints a GPU, as vgpuConfig.xml does, and as this project does.
#[test]
fn boards_are_found_however_people_write_them() {
    let place = Place::new();
    let list = |gpu: &str| place.prints(&["list", "--config", "vgpuConfig.xml", "--gpu", gpu]);
    for gpu in ["1eb8", "10de:1eb8", "[10de:1eb8]", "10DE:1EB8", "0x1EB8", "1EB8:12A2", "10de:1eb8:12a2"] {
        assert_eq!(list(gpu), list("1EB8"), "{gpu}");
    }
    // The M10 is listed for every subsystem.
    assert_eq!(list("13bd:1160"), list("13bd"));
    let text = failure(&place, &["list", "--config", "vgpuConfig.xml", "--gpu", "1eb8:1160"]);
    assert!(text.contains("physical GPU 1EB8:1160 is not listed"), "{text}");
    let text = failure(&place, &["list", "--config", "vgpuConfig.xml", "--gpu", "10de"]);
    assert!(text.contains("\"10de\" is not the id of a physical GPU"), "{text}");
}

#[test]
fn a_vendor_is_no_gpu() {
    for clones in [r#"{"10de:1e07": "1EB8:12A2"}"#, r#"{"1E07:0000": "10DE:1EB8"}"#] {
        let text = mistake(&format!("{{\"clones\": {clones}}}"));
        assert!(text.contains("names NVIDIA's vendor id, 10DE, where the id of a device belongs"), "{text}");
    }
}

#[test]
fn list_shows_profiles_that_no_board_offers_and_boards_whose_profiles_are_missing() {
    let place = Place::new();
    let text = SAMPLE.replace("vgpuId=\"44\"", "vgpuId=\"45\"");
    fs::write(place.path("vgpuConfig.xml"), text).unwrap();
    assert_snapshot!(place.prints(&["list", "--config", "vgpuConfig.xml"]), @"
    Physical GPU 13BD:0000, GRID M10, any subsystem
    ID  NAME             CLASS    MIB  HEADS  DISPLAY    FPS  CUDA  FIT
    43  GRID M10-4Q      Quadro  4096      4  5120x2880   60  no      2
    45  (not described)

    Physical GPU 1EB8:12A2, GRID T4, SR-IOV
     ID  NAME        CLASS     MIB  HEADS  DISPLAY  FPS  CUDA  FIT
    333  GRID T4-8C  Compute  8192      -  -          -  -       2

    Offered by no physical GPU
    ID  NAME         CLASS  MIB  HEADS  DISPLAY     FPS  CUDA  FIT
    44  GRID M10-0B  NVS    512      2  2560x1600  none  -       -
    ");
}

#[test]
fn list_gives_json() {
    let place = Place::new();
    let json: serde_json::Value =
        serde_json::from_str(&place.prints(&["list", "--config", "vgpuConfig.xml", "--json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
    assert_snapshot!(place.prints(&["list", "--config", "vgpuConfig.xml", "--json", "--gpu", "0x13bd:0"]), @r#"
    [
      {
        "id": 43,
        "name": "GRID M10-4Q",
        "class": "Quadro",
        "series": "Q",
        "framebuffer_mib": 4096,
        "heads": 4,
        "display": {
          "width": 5120,
          "height": 2880
        },
        "frame_rate_limit": 60,
        "cuda": false,
        "gpus": [
          {
            "device": "13BD",
            "subsystem": "0000",
            "max_instances": 2
          }
        ]
      },
      {
        "id": 44,
        "name": "GRID M10-0B",
        "class": "NVS",
        "series": "B",
        "framebuffer_mib": 512,
        "heads": 2,
        "display": {
          "width": 2560,
          "height": 1600
        },
        "frame_rate_limit": 0,
        "cuda": null,
        "gpus": [
          {
            "device": "13BD",
            "subsystem": "0000",
            "max_instances": 16
          }
        ]
      }
    ]
    "#);
}

#[test]
fn boards_are_listed_a_line_each() {
    let place = Place::new();
    assert_snapshot!(place.prints(&["gpus", "--config", "vgpuConfig.xml"]), @"
    GPU        NAME        MIB  PROFILES  SERIES  SR-IOV
    13BD:0000  GRID M10   8192         2  B Q     no
    1EB8:12A2  GRID T4   16384         1  C       yes
    ");
    let json: serde_json::Value =
        serde_json::from_str(&place.prints(&["gpus", "--config", "vgpuConfig.xml", "--json"])).unwrap();
    assert_eq!(json[1]["device"], "1EB8");
    assert_eq!(json[0]["series"], serde_json::json!(["B", "Q"]));
}

#[test]
fn show_gives_json_as_list_does() {
    let place = Place::new();
    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&place.prints(args)).unwrap() };
    let all = json(&["list", "--config", "vgpuConfig.xml", "--json"]);
    assert_eq!(json(&["show", "43", "--config", "vgpuConfig.xml", "--json"]), all[0]);
}

/// Nobody has to unpack a driver to see what it offers.
#[test]
fn profiles_are_read_from_archives_and_run_files() {
    let place = Place::new();
    let (archive, content) = vgpu_sample::grid_archive().unwrap();
    fs::write(place.path(&archive), content).unwrap();
    let (host, content) = vgpu_sample::run_file(vgpu_driver::Role::Host).unwrap();
    fs::write(place.path(&host), &content).unwrap();
    let files = vgpu_sample::files(vgpu_driver::Role::Host);
    fs::write(place.path("own.xml"), &files.iter().find(|file| file.name == "vgpuConfig.xml").unwrap().data).unwrap();
    let expected = place.prints(&["list", "--config", "own.xml"]);
    for file in [&archive, &host] {
        assert_eq!(place.prints(&["list", "--config", file]), expected);
    }
    let (guest, other) = vgpu_sample::run_file(vgpu_driver::Role::Guest).unwrap();
    fs::write(place.path(&guest), other).unwrap();
    assert!(failure(&place, &["gpus", "--config", &guest]).contains("is the guest driver, not the one for a host"));
    fs::write(place.path(&host), &content[..content.len() - 100]).unwrap();
    assert!(failure(&place, &["gpus", "--config", &host]).contains("damaged or incomplete"));
    fs::write(place.path("page.html"), "<html></html>").unwrap();
    assert!(failure(&place, &["gpus", "--config", "page.html"]).contains("the outermost element is <html>"));
}

#[test]
fn a_gpu_of_this_machine_is_found_by_its_address() {
    let place = Place::new();
    let device = place.path("sys/bus/pci/devices/0000:41:00.0");
    fs::create_dir_all(&device).unwrap();
    for (file, value) in [
        ("vendor", "0x10de"),
        ("device", "0x1eb8"),
        ("subsystem_vendor", "0x10de"),
        ("subsystem_device", "0x12a2"),
        ("class", "0x030200"),
    ] {
        fs::write(device.join(file), value).unwrap();
    }
    let list = |gpu: &str| {
        let root = place.path("");
        let args = ["list", "--config", "vgpuConfig.xml", "--root", root.to_str().unwrap(), "--gpu", gpu];
        place.profiles(&args).output().unwrap()
    };
    for address in ["0000:41:00.0", "41:00.0"] {
        let text = String::from_utf8(list(address).stdout).unwrap();
        assert!(text.starts_with("Physical GPU 1EB8:12A2"), "{text}");
    }
    let text = String::from_utf8(list("0000:42:00.0").stderr).unwrap();
    assert!(text.contains("this machine has no physical GPU of NVIDIA's at 0000:42:00.0"), "{text}");
}

#[test]
fn show_gives_everything_about_a_profile() {
    let place = Place::new();
    let shown = place.prints(&["show", "nvidia-43", "--config", "vgpuConfig.xml"]);
    assert_snapshot!(shown, @r#"
    Profile           nvidia-43
    Name              GRID M10-4Q
    Class             Quadro
    Series            Q: workstations: graphics and computing (licence: RTX vWS)
    Framebuffer       4096 MiB
    Heads             4
    Display           5120x2880
    Frame rate limit  60 frames a second
    CUDA              no
    Fits              2 times on 13BD:0000, GRID M10, any subsystem

    As the file has it, from line 6:
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
    "#);
    assert_eq!(place.prints(&["show", "43", "--config", "vgpuConfig.xml"]), shown);
    assert_eq!(place.prints(&["show", "grid m10-4q", "--config", "vgpuConfig.xml"]), shown);
}

#[test]
fn no_changes_leave_every_byte() {
    for text in [SAMPLE.to_owned(), SAMPLE.replace('\n', "\r\n"), format!("\u{feff}{SAMPLE}")] {
        for none in [
            "{}",
            r#"{"clones": null, "overrides": {}}"#,
            r#"{"overrides": {"43": null, "44": {"heads": null,
            "display": {"width": null, "height": null}, "xmlConfig": {"a": null, "b": {}, "c": {"d": null}}}}}"#,
        ] {
            assert_eq!(applied(&text, none), text);
        }
    }
}

#[test]
fn what_holds_already_is_not_rewritten() {
    // 0x3C is 60, 0xEC000000 what the formula gives: other digits than we would write, but the same numbers.
    let same =
        r#"{"overrides": {"43": {"vramAllocation": 4096, "heads": 4, "enableCuda": false, "framerateLimit": 60}}}"#;
    assert_eq!(applied(SAMPLE, same), SAMPLE);
    let place = Place::new();
    assert_snapshot!(place.applies(same), @"note: nothing to change: vgpuConfig.xml has all of it");
}

#[test]
fn line_ends_and_a_byte_order_mark_are_kept() {
    let everything = r#"{"clones": {"1:1": "13BD:0", "1EB8:12A2": "13BD:0"}, "overrides": {
        "43": {"heads": 1, "xmlConfig": {"made": "1"}}, "333": {"display": {"width": 1, "height": 2}}}}"#;
    let changed = applied(SAMPLE, everything);
    assert_ne!(changed, SAMPLE);
    assert_eq!(applied(&SAMPLE.replace('\n', "\r\n"), everything), changed.replace('\n', "\r\n"));
    assert_eq!(applied(&format!("\u{feff}{SAMPLE}"), everything), format!("\u{feff}{changed}"));
}

#[test]
fn one_change_is_a_diff_of_one_line() {
    let changed = applied(SAMPLE, r#"{"overrides": {"43": {"heads": 1}}}"#);
    assert_snapshot!(difference(SAMPLE, &changed), @"
    -    <numHeads>4</numHeads>
    +    <numHeads>1</numHeads>
    ");
}

#[test]
fn overrides_set_what_they_stand_for() {
    let changed = applied(
        SAMPLE,
        r#"{"overrides": {"43": {"vramAllocation": 512, "enableCuda": true,
        "display": {"width": 1920, "height": 1080}, "framerateLimit": 144}, "44": {"framerateLimit": 30}}}"#,
    );
    assert_snapshot!(difference(SAMPLE, &changed), @r#"
    -    <profileSize>0x100000000</profileSize>
    -    <framebuffer>0xEC000000</framebuffer>
    -    <fbReservation>0x14000000</fbReservation>
    +    <profileSize>0x20000000</profileSize>
    +    <framebuffer>0x1A000000</framebuffer>
    +    <fbReservation>0x6000000</fbReservation>
    -    <display width="5120" height="2880"/>
    -    <maxPixels>36864000</maxPixels>
    -    <frlConfig>0x3C</frlConfig>
    -    <cudaEnabled>0</cudaEnabled>
    +    <display width="1920" height="1080"/>
    +    <maxPixels>2073600</maxPixels>
    +    <frlConfig>0x90</frlConfig>
    +    <cudaEnabled>1</cudaEnabled>
    -    <frlConfig>0x2d</frlConfig>
    -    <frame_rate_limiter>0</frame_rate_limiter>
    +    <frlConfig>0x1e</frlConfig>
    +    <frame_rate_limiter>1</frame_rate_limiter>
    "#);
}

#[test]
fn a_vgpu_may_take_a_whole_board_and_no_more() {
    let all = applied(SAMPLE, r#"{"overrides": {"43": {"vramAllocation": 8192}, "44": {"vramAllocation": 384}}}"#);
    assert_snapshot!(difference(SAMPLE, &all), @"
    -    <profileSize>0x100000000</profileSize>
    -    <framebuffer>0xEC000000</framebuffer>
    -    <fbReservation>0x14000000</fbReservation>
    +    <profileSize>0x200000000</profileSize>
    +    <framebuffer>0x1DC000000</framebuffer>
    +    <fbReservation>0x24000000</fbReservation>
    -    <profileSize>0x20000000</profileSize>
    -    <framebuffer>0x1A000000</framebuffer>
    -    <fbReservation>0x6000000</fbReservation>
    +    <profileSize>0x18000000</profileSize>
    +    <framebuffer>0x12800000</framebuffer>
    +    <fbReservation>0x5800000</fbReservation>
    ");
}

#[test]
fn a_frame_rate_of_0_only_turns_the_limiter_off() {
    let changed = applied(SAMPLE, r#"{"overrides": {"43": {"framerateLimit": 0}}}"#);
    assert_snapshot!(difference(SAMPLE, &changed), @"
    -    <frame_rate_limiter>1</frame_rate_limiter>
    +    <frame_rate_limiter>0</frame_rate_limiter>
    ");
}

#[test]
fn elements_and_attributes_are_made_where_absent() {
    let changed = applied(
        SAMPLE,
        r#"{"overrides": {
        "43": {"xmlConfig": {"eccSupported": true, "novelty": {"a": 2, "b": "'\"<&>"}, "display": {"refresh": 60}}},
        "333": {"heads": 2, "xmlConfig": {"zeta": {"x": "1"}, "text": "a<b"}}}}"#,
    );
    assert_snapshot!(difference(SAMPLE, &changed), @r#"
    -    <display width="5120" height="2880"/>
    +    <display width="5120" height="2880" refresh="60"/>
    -    <novelty a='1'>kept &amp; untouched</novelty> <!-- of some future release -->
    +    <novelty a='2' b="&apos;&quot;&lt;&amp;&gt;">kept &amp; untouched</novelty> <!-- of some future release -->
    +    <eccSupported>1</eccSupported>
    +    <numHeads>2</numHeads>
    +    <text>a&lt;b</text>
    +    <zeta x="1"/>
    "#);
}

#[test]
fn elements_are_made_in_elements_without_any() {
    let text = r#"<vgpuconfig><vgpuType id="1"/><vgpuType id="2" ></vgpuType></vgpuconfig>"#;
    let changed = applied(text, r#"{"overrides": {"1": {"heads": 1}, "2": {"heads": 2}}}"#);
    assert_snapshot!(changed, @r#"<vgpuconfig><vgpuType id="1"><numHeads>1</numHeads></vgpuType><vgpuType id="2" ><numHeads>2</numHeads></vgpuType></vgpuconfig>"#);
}

#[test]
fn texts_are_set_beside_comments_and_in_cdata() {
    let texts = [
        "<a/>",
        "<a />",
        "<a></a>",
        "<a> <!--b-->\n</a>",
        "<a> 1 <!-- > --> 2 </a>",
        "<a><![CDATA[1]]>2</a >",
        "<a b='>'>&#49;</a>",
    ];
    let changed = texts.map(|text| {
        let text = format!("<vgpuconfig><vgpuType id='1'>{text}</vgpuType></vgpuconfig>");
        let changed = applied(&text, r#"{"overrides": {"1": {"xmlConfig": {"a": "x"}}}}"#);
        changed.replace("<vgpuconfig><vgpuType id='1'>", "").replace("</vgpuType></vgpuconfig>", "")
    });
    assert_snapshot!(changed.join("\n"), @"
    <a>x</a>
    <a>x</a>
    <a>x</a>
    <a>x <!--b-->
    </a>
    <a> x <!-- > -->  </a>
    <a>x</a >
    <a b='>'>x</a>
    ");
}

#[test]
fn xml_config_wins_over_the_options_and_says_so() {
    let place = Place::new();
    let said = place.applies(
        r#"{"overrides": {"43": {"heads": 1, "display": {"width": 1920, "height": 1080},
        "xmlConfig": {"numHeads": "2", "display": {"width": "1"}}}}}"#,
    );
    assert_snapshot!(said, @r#"
    note: overrides.43: xmlConfig.display.width = "1" wins over "1920" from another option
    note: overrides.43: xmlConfig.numHeads = "2" wins over "1" from another option
    "#);
    assert_snapshot!(difference(SAMPLE, &place.read("vgpuConfig.xml")), @r#"
    -    <numHeads>4</numHeads>
    -    <display width="5120" height="2880"/>
    -    <maxPixels>36864000</maxPixels>
    +    <numHeads>2</numHeads>
    +    <display width="1" height="1080"/>
    +    <maxPixels>2073600</maxPixels>
    "#);
}

#[test]
fn a_clone_follows_the_board_it_is_made_from() {
    let changed = applied(SAMPLE, r#"{"clones": {"17f0:1": "13BD:0", "17C2:11a0": "13BD:0000"}}"#);
    // Each comment stays with the board it is about.
    assert!(changed.contains("</pgpu> <!-- Tesla M10 -->\n  <pgpu"));
    assert!(changed.contains("</pgpu>\n  <!-- Turing -->\n  <pgpu"));
    assert_snapshot!(difference(SAMPLE, &changed), @r#"
    +  <pgpu fractionalMultiVgpu="0">
    +    <devId vendorId="0x10de" deviceId="0x17C2" subsystemVendorId="0x10de" subsystemId="0x11A0"></devId>
    +    <supportedVgpu vgpuId="43"><maxVgpus>2</maxVgpus><digest type="signature">00ff</digest></supportedVgpu>
    +    <supportedVgpu vgpuId="44"><maxVgpus>16</maxVgpus><digest type="signature">11ff</digest></supportedVgpu>
    +  </pgpu>
    +  <pgpu fractionalMultiVgpu="0">
    +    <devId vendorId="0x10de" deviceId="0x17F0" subsystemVendorId="0x10de" subsystemId="0x0001"></devId>
    +    <supportedVgpu vgpuId="43"><maxVgpus>2</maxVgpus><digest type="signature">00ff</digest></supportedVgpu>
    +    <supportedVgpu vgpuId="44"><maxVgpus>16</maxVgpus><digest type="signature">11ff</digest></supportedVgpu>
    +  </pgpu>
    "#);
}

#[test]
fn a_listed_board_is_replaced_by_its_clone_with_a_note() {
    let place = Place::new();
    let clone = r#"{"clones": {"1EB8:12A2": "13BD:0000"}}"#;
    assert_snapshot!(place.applies(clone), @"note: 1EB8:12A2 was listed already; what it had is replaced by what 13BD:0000 has");
    let once = place.read("vgpuConfig.xml");
    assert_snapshot!(difference(SAMPLE, &once), @r#"
    -  <pgpu fractionalMultiVgpu="1" hostVgpuMode="sriov">
    -    <devId vendorId="0x10de" deviceId="0x1EB8" subsystemVendorId="0x10de" subsystemId="0x12A2"/>
    -    <supportedVgpu vgpuId="333">
    -      <maxVgpus>2</maxVgpus>
    -    </supportedVgpu>
    +  <pgpu fractionalMultiVgpu="0">
    +    <devId vendorId="0x10de" deviceId="0x1EB8" subsystemVendorId="0x10de" subsystemId="0x12A2"></devId>
    +    <supportedVgpu vgpuId="43"><maxVgpus>2</maxVgpus><digest type="signature">00ff</digest></supportedVgpu>
    +    <supportedVgpu vgpuId="44"><maxVgpus>16</maxVgpus><digest type="signature">11ff</digest></supportedVgpu>
    "#);
    assert_snapshot!(place.applies(clone), @"note: nothing to change: vgpuConfig.xml has all of it");
    assert_eq!(place.read("vgpuConfig.xml"), once);
}

#[test]
fn a_clone_of_a_clone_is_a_clone_of_the_first() {
    let chain = applied(SAMPLE, r#"{"clones": {"0001:0001": "0002:0002", "0002:0002": "13BD:0000"}}"#);
    let direct = applied(SAMPLE, r#"{"clones": {"0001:0001": "13BD:0000", "0002:0002": "13BD:0000"}}"#);
    assert_eq!(chain, direct);
}

#[test]
fn a_board_that_is_listed_twice_is_cloned_and_replaced_whole() {
    let text = SAMPLE.replace(
        "  </pgpu>\n</vgpuconfig>",
        "  </pgpu>\n  <pgpu><devId deviceId='0x13BD' subsystemId='0'/></pgpu>\n</vgpuconfig>",
    );
    let changed = applied(&text, r#"{"clones": {"1EB8:12A2": "13BD:0000"}}"#);
    assert_eq!(
        Config::parse(&changed).unwrap().gpus.iter().map(|gpu| gpu.id.device).collect::<Vec<_>>(),
        [0x13bd, 0x1eb8, 0x1eb8, 0x13bd]
    );
    let back = applied(&changed, r#"{"clones": {"13BD:0000": "1EB8:12A2"}}"#);
    assert_eq!(applied(&back, r#"{"clones": {"13BD:0000": "1EB8:12A2"}}"#), back);
}

#[test]
fn mistakes_in_clones_are_explained() {
    assert_snapshot!(mistake(r#"{"clones": {"1E07:12A4": "1EB8:12A1"}}"#), @"
    cause: physical GPU 1EB8:12A1 is not listed
    help: the nearest are 1EB8:12A2, 13BD:0000; `vgpu profiles list` shows all
    ");
    assert_snapshot!(mistake(r#"{"clones": {"1E07": "1EB8:12A2"}}"#), @r#"
    cause: "1E07" is not the id of a physical GPU
    help: write DEVICE:SUBSYSTEM, each up to four hexadecimal digits, as in 1B38:0000; `lspci -nn` shows a board's device as [10de:1b38], and subsystem 0000 stands for every subsystem
    "#);
    assert_snapshot!(mistake(r#"{"clones": {"1E07:12A4": "1EG8:12A2"}}"#), @r#"
    cause: "1EG8:12A2" is not the id of a physical GPU
    help: write DEVICE:SUBSYSTEM, each up to four hexadecimal digits, as in 1B38:0000; `lspci -nn` shows a board's device as [10de:1b38], and subsystem 0000 stands for every subsystem
    "#);
    assert_snapshot!(mistake(r#"{"clones": {"1E07:12A4": "01EB8:12A2"}}"#), @r#"
    cause: "01EB8:12A2" is not the id of a physical GPU
    help: write DEVICE:SUBSYSTEM, each up to four hexadecimal digits, as in 1B38:0000; `lspci -nn` shows a board's device as [10de:1b38], and subsystem 0000 stands for every subsystem
    "#);
    assert_snapshot!(mistake(r#"{"clones": {"1E07:12A4": ":"}}"#), @r#"
    cause: ":" is not the id of a physical GPU
    help: write DEVICE:SUBSYSTEM, each up to four hexadecimal digits, as in 1B38:0000; `lspci -nn` shows a board's device as [10de:1b38], and subsystem 0000 stands for every subsystem
    "#);
    assert_snapshot!(mistake(r#"{"clones": {"1E07:12A4": 7}}"#), @"
    cause: clones.1E07:12A4: invalid type: integer `7`, expected a string at line 1 column 26
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"clones": {"1E07:0": "1EB8:12A2", "0x1e07:0000": "13BD:0"}}"#), @"
    cause: clones.1E07:0: 1E07:0000 is named twice
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"clones": {"1EB8:12A2": "1eb8:12a2"}}"#), @"
    cause: clones goes round in a circle: 1EB8:12A2 gets what 1EB8:12A2
    help: a clone needs a physical GPU that vgpuConfig.xml lists and that is no clone itself
    ");
    assert!(Changes::parse(br#"{"clones": {"1:1": "2:2", "2:2": "3:3", "3:3": "2:2"}}"#).is_err());
    assert_snapshot!(mistake(r#"{"clones": {"13BD:0": "1EB8:12A2", "1EB8:12A2": "13BD:0"}}"#), @"
    cause: clones goes round in a circle: 13BD:0000 gets what 1EB8:12A2 gets what 13BD:0000
    help: a clone needs a physical GPU that vgpuConfig.xml lists and that is no clone itself
    ");
}

#[test]
fn mistakes_in_overrides_are_explained() {
    assert_snapshot!(mistake(r#"{"overrides": {"42": {}}}"#), @"
    cause: profile 42 is not listed
    help: the nearest are 43 (GRID M10-4Q), 44 (GRID M10-0B), 333 (GRID T4-8C); `vgpu profiles list` shows all
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"nvidia-43": {}}}"#), @r#"
    cause: "nvidia-43" is not the number of a profile
    help: write 333 for nvidia-333; `vgpu profiles list` shows the numbers
    "#);
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"vramAllocation": 383}}}"#), @"
    cause: overrides.43.vramAllocation is 383 MiB, less than a vGPU needs
    help: give it 384 MiB at least
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"vramAllocation": 8193}}}"#), @"
    cause: overrides.43.vramAllocation is 8193 MiB, but the largest board that offers GRID M10-4Q has 8192 MiB
    help: give it 8192 MiB at most; the memory of a board is what its profiles fill together
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"vramAllocation": 4294967296}}}"#), @"
    cause: overrides.43.vramAllocation: 4294967296 is too large at line 1 column 50
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"vramAllocation": -1}}}"#), @"
    cause: overrides.43.vramAllocation: -1 is negative at line 1 column 42
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"vramAllocation": 512.5}}}"#), @"
    cause: overrides.43.vramAllocation: invalid type: floating point `512.5`, expected a whole number at line 1 column 45
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"heads": 0}}}"#), @"
    cause: overrides.43.heads: a vGPU has one virtual monitor at least, not 0
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"framerateLimit": "60"}}}"#), @r#"
    cause: overrides.43.framerateLimit: invalid type: string "60", expected a whole number at line 1 column 44
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    "#);
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"display": {"width": 1920}}}}"#), @"
    cause: overrides.43.display: width is set, but not height; set both or none
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"display": {"height": 1080, "width": null}}}}"#), @"
    cause: overrides.43.display: height is set, but not width; set both or none
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"display": {"width": 0, "height": 1080}}}}"#), @"
    cause: overrides.43.display: width is 0 and height is 1080; both must be above 0
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"display": [1920, 1080]}}}"#), @"
    cause: overrides.43.display: invalid type: sequence, expected an object at line 1 column 33
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
}

#[test]
fn mistakes_in_xml_config_are_explained() {
    let xml_config = |xml: &str| mistake(&format!(r#"{{"overrides": {{"43": {{"xmlConfig": {xml}}}}}}}"#));
    assert_snapshot!(xml_config(r#"{"a b": "1"}"#), @r#"
    cause: overrides.43.xmlConfig.a b: "a b" cannot be the name of an XML element
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    "#);
    assert_snapshot!(xml_config(r#"{"a/><b": "1"}"#), @r#"
    cause: overrides.43.xmlConfig.a/><b: "a/><b" cannot be the name of an XML element
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    "#);
    assert_snapshot!(xml_config(r#"{"a:b": "1"}"#), @r#"
    cause: overrides.43.xmlConfig.a:b: "a:b" cannot be the name of an XML element
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    "#);
    assert_snapshot!(xml_config(r#"{"a": {"xmlns": "1"}}"#), @r#"
    cause: overrides.43.xmlConfig.a.xmlns: "xmlns" cannot be the name of an XML attribute
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    "#);
    assert_snapshot!(xml_config(r#"{"a": {"b": {"c": "1"}}}"#), @"
    cause: overrides.43.xmlConfig.a.b: the value of an attribute is a text, not an object
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(xml_config(r#"{"a": "\u0000"}"#), @r"
    cause: overrides.43.xmlConfig.a: XML cannot hold the character '\0'
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(xml_config(r#"{"a": [1]}"#), @"
    cause: overrides.43.xmlConfig.a: invalid type: sequence, expected a text, a whole number, a truth value or an object of attributes at line 1 column 42
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(xml_config(r#"{"a": "1", "a": "2"}"#), @r#"
    cause: overrides.43.xmlConfig: the key "a" stands there twice at line 1 column 55
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    "#);
}

#[test]
fn a_text_for_an_element_of_elements_is_refused() {
    let text = "<vgpuconfig>\n<vgpuType id='1'>\n<a><b/></a></vgpuType></vgpuconfig>";
    let error = apply(text, &changes(r#"{"overrides": {"1": {"xmlConfig": {"a": "x"}}}}"#)).unwrap_err();
    assert_snapshot!(error, @"line 3: <a> holds other elements and cannot get a text");
}

#[test]
fn mistakes_in_the_json_are_explained() {
    assert_snapshot!(mistake(""), @"
    cause: EOF while parsing a value at line 1 column 0
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake("[]"), @"
    cause: invalid type: sequence, expected an object at line 1 column 0
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake("{} {}"), @"
    cause: trailing characters at line 1 column 4
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"clone": {}}"#), @"
    cause: clone: unknown field `clone`, expected `clones` or `overrides` at line 1 column 8
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"vramAlocation": 512}}}"#), @"
    cause: overrides.43.vramAlocation: unknown field `vramAlocation`, expected one of `vramAllocation`, `heads`, `enableCuda`, `display`, `framerateLimit`, `xmlConfig` at line 1 column 37
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"heads": 1, "heads": 2}}}"#), @"
    cause: overrides.43: duplicate field `heads` at line 1 column 41
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {}, "043": {}}}"#), @"
    cause: overrides.43: profile 43 is named twice
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
}

#[test]
fn files_that_are_no_vgpu_config_are_explained() {
    let place = Place::new();
    let list = |text: &[u8]| {
        fs::write(place.path("vgpuConfig.xml"), text).unwrap();
        failure(&place, &["list", "--config", "vgpuConfig.xml"])
    };
    assert_snapshot!(list(b""), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: not well-formed XML
    cause: the document does not have a root node
    help: the file is damaged or not XML; take vgpuConfig.xml from the host driver again
    ");
    assert_snapshot!(list(b"\x7fELF\xff"), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: vgpuConfig.xml is not text in UTF-8
    help: vgpuConfig.xml lies at the root of an unpacked host driver: `sh FILE-vgpu-kvm.run -x --target DIR`
    ");
    assert_snapshot!(list(b"<vgpuconfig>\n<a></b></vgpuconfig>"), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: not well-formed XML
    cause: expected 'a' tag, not 'b' at 2:4
    help: the file is damaged or not XML; take vgpuConfig.xml from the host driver again
    ");
    assert_snapshot!(list(b"<html/>"), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: the outermost element is <html>, not <vgpuconfig>
    help: this is some other XML file; vgpuConfig.xml lies at the root of an unpacked host driver
    ");
    assert_snapshot!(list(b"<vgpuconfig>\n<vgpuType id='x'/></vgpuconfig>"), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: line 2: <vgpuType> has no id that is a number
    help: every profile and physical GPU needs it; take vgpuConfig.xml from the host driver again
    ");
    assert_snapshot!(list(b"<vgpuconfig>\n<pgpu/></vgpuconfig>"), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: line 2: <pgpu> has no devId with a deviceId
    help: every profile and physical GPU needs it; take vgpuConfig.xml from the host driver again
    ");
    assert_snapshot!(list(b"<!DOCTYPE a [\n<!ENTITY a 'b'>]><vgpuconfig/>"), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: line 2 declares an entity
    help: NVIDIA's files have none; take vgpuConfig.xml from the host driver again
    ");
    assert_snapshot!(list(&vec![b' '; (8 << 20) + 1]), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: vgpuConfig.xml is larger than 8 MiB
    help: NVIDIA's vgpuConfig.xml has less than one MiB; check that this is the right file
    ");
    let many: String = (0..2000).map(|n| format!(" a{n}=''")).collect();
    assert_snapshot!(list(format!("<vgpuconfig{many}/>").as_bytes()), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: a tag has more than 1000 attributes
    help: NVIDIA's have four; take vgpuConfig.xml from the host driver again
    ");
    assert_snapshot!(failure(&place, &["list", "--config", "nowhere.xml"]), @"
    error: cannot list the profiles in nowhere.xml
    cause: cannot read nowhere.xml
    cause: No such file or directory (os error 2)
    help: check the path, and that you may read it; `vgpu profiles list --config FILE` takes a vgpuConfig.xml, a GRID archive or a host's .run file
    ");
}

#[test]
fn what_is_not_listed_is_answered_with_the_nearest() {
    let place = Place::new();
    assert_snapshot!(failure(&place, &["list", "--config", "vgpuConfig.xml", "--gpu", "1EB9"]), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: physical GPU 1EB9 is not listed
    help: the nearest are 1EB8:12A2, 13BD:0000; `vgpu profiles list` shows all
    ");
    assert_snapshot!(failure(&place, &["list", "--config", "vgpuConfig.xml", "--gpu", "1EB8:1"]), @"
    error: cannot list the profiles in vgpuConfig.xml
    cause: physical GPU 1EB8:0001 is not listed
    help: the nearest are 1EB8:12A2, 13BD:0000; `vgpu profiles list` shows all
    ");
    assert_snapshot!(failure(&place, &["list", "--config", "vgpuConfig.xml", "--gpu", "Tesla"]), @r#"
    error: cannot list the profiles in vgpuConfig.xml
    cause: "Tesla" is not the id of a physical GPU
    help: write DEVICE:SUBSYSTEM, each up to four hexadecimal digits, as in 1B38:0000; `lspci -nn` shows a board's device as [10de:1b38], and subsystem 0000 stands for every subsystem
    "#);
    assert_snapshot!(failure(&place, &["show", "45", "--config", "vgpuConfig.xml"]), @"
    error: cannot show a profile of vgpuConfig.xml
    cause: profile 45 is not listed
    help: the nearest are 44 (GRID M10-0B), 43 (GRID M10-4Q), 333 (GRID T4-8C); `vgpu profiles list` shows all
    ");
    assert_snapshot!(failure(&place, &["show", "GRID T4-8Q", "--config", "vgpuConfig.xml"]), @r#"
    error: cannot show a profile of vgpuConfig.xml
    cause: profile "GRID T4-8Q" is not listed
    help: the nearest are 333 (GRID T4-8C), 43 (GRID M10-4Q), 44 (GRID M10-0B); `vgpu profiles list` shows all
    "#);
}

#[test]
fn a_hostile_file_is_refused_at_once() {
    let deep = format!("<vgpuconfig>{}", "<a>".repeat(900_000));
    assert!(Config::parse(&deep).is_err());
    let wide = format!("<vgpuconfig>{}</vgpuconfig>", "<a/>".repeat(1_100_000));
    assert!(Config::parse(&wide).is_err());
}

#[test]
fn the_size_of_a_board_follows_its_clones() {
    // 1EB8:12A2 has 16 GiB and is the only board that offers 333; as a clone of the M10 it no more does.
    let both = r#"{"clones": {"1EB8:12A2": "13BD:0000"}, "overrides": {"333": {"vramAllocation": 99999}}}"#;
    let place = Place::new();
    assert_snapshot!(place.applies(both), @"
    note: 1EB8:12A2 was listed already; what it had is replaced by what 13BD:0000 has
    note: no physical GPU offers profile 333 (GRID T4-8C); its override has no effect yet
    ");
}

#[test]
fn apply_writes_a_new_file_that_everybody_may_read() {
    let place = Place::new();
    fs::write(place.path("changes.json"), r#"{"overrides": {"43": {"heads": 1}}}"#).unwrap();
    let args = ["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--out", "new.xml"];
    place.profiles(&args).assert().success().stdout("").stderr("");
    assert_eq!(place.read("new.xml"), applied(SAMPLE, r#"{"overrides": {"43": {"heads": 1}}}"#));
    assert_eq!(place.read("vgpuConfig.xml"), SAMPLE);
    assert_eq!(mode(&place.path("new.xml")), 0o644);
    assert_eq!(names(&place), ["changes.json", "new.xml", "vgpuConfig.xml"]);
}

#[test]
fn apply_in_place_keeps_permissions_and_follows_links() {
    let place = Place::new();
    fs::rename(place.path("vgpuConfig.xml"), place.path("real.xml")).unwrap();
    symlink("real.xml", place.path("vgpuConfig.xml")).unwrap();
    fs::set_permissions(place.path("real.xml"), fs::Permissions::from_mode(0o640)).unwrap();
    place.applies(r#"{"overrides": {"43": {"heads": 1}}}"#);
    assert!(place.path("vgpuConfig.xml").is_symlink());
    assert_ne!(place.read("real.xml"), SAMPLE);
    assert_eq!(mode(&place.path("real.xml")), 0o640);
}

#[test]
fn apply_refuses_what_it_cannot_replace() {
    let place = Place::new();
    fs::write(place.path("changes.json"), "{}").unwrap();
    let out = |out: &str| {
        failure(&place, &["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--out", out])
    };
    assert_snapshot!(out("."), @"
    note: nothing to change: vgpuConfig.xml has all of it
    error: cannot apply changes.json to vgpuConfig.xml
    cause: . is not a regular file
    help: name a file to write to; `--diff` alone shows the changes and writes nothing
    ");
    assert_snapshot!(out("/dev/null"), @"
    note: nothing to change: vgpuConfig.xml has all of it
    error: cannot apply changes.json to vgpuConfig.xml
    cause: /dev/null is not a regular file
    help: name a file to write to; `--diff` alone shows the changes and writes nothing
    ");
    // The cause names a temporary file.
    assert!(out("nowhere/new.xml").contains("cause: cannot write nowhere/new.xml\ncause: No such file or directory"));
    assert_eq!(names(&place), ["changes.json", "vgpuConfig.xml"]);
}

#[test]
fn a_diff_without_out_writes_nothing() {
    let place = Place::new();
    fs::write(place.path("changes.json"), r#"{"overrides": {"43": {"heads": 1}}}"#).unwrap();
    assert_snapshot!(place.prints(&["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml", "--diff"]), @r#"
    --- vgpuConfig.xml
    +++ vgpuConfig.xml
    @@ -8,7 +8,7 @@
         <profileSize>0x100000000</profileSize>
         <framebuffer>0xEC000000</framebuffer>
         <fbReservation>0x14000000</fbReservation>
    -    <numHeads>4</numHeads>
    +    <numHeads>1</numHeads>
         <display width="5120" height="2880"/>
         <maxPixels>36864000</maxPixels>
         <frlConfig>0x3C</frlConfig>
    "#);
    assert_eq!(place.read("vgpuConfig.xml"), SAMPLE);
    place.profiles(&["apply", "--changes", "changes.json", "--config", "vgpuConfig.xml"]).assert().code(2);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.0.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn ids_are_numbers() {
    for text in ["1B38:0", "1b38:0000", "0x1B38:0x0"] {
        assert_eq!(text.parse::<GpuId>().unwrap().to_string(), "1B38:0000");
    }
    for text in ["", ":", "1B38", "1B38:", "+1:0", "1B38:0:0", "1 :0", "12345:0", "0x:0"] {
        assert!(text.parse::<GpuId>().is_err(), "{text}");
    }
}
