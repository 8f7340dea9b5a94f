//! Profiles and boards: listed, shown and found.

use crate::scene::*;
use insta::assert_snapshot;
use std::fs;
use vgpu_profiles::gpu_id::GpuId;

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

/// A GPU as `lspci -nn` prints it, as it is in vgpuConfig.xml, and as this project writes it.
#[test]
fn boards_are_found_however_people_write_them() {
    let place = Place::new();
    let list = |gpu: &str| place.prints(&["list", "--config", "vgpuConfig.xml", "--gpu", gpu]);
    for gpu in ["1eb8", "10de:1eb8", "[10de:1eb8]", "10DE:1EB8", "0x1EB8", "1EB8:12A2", "10de:1eb8:12a2"] {
        assert_eq!(list(gpu), list("1EB8"), "{gpu}");
    }
    // Names are those of the file, of nvidia-smi, and of shops.
    for gpu in ["T4", "grid t4", "Tesla T4", "NVIDIA T4", "NVIDIA Tesla T4"] {
        assert_eq!(list(gpu), list("1EB8"), "{gpu}");
    }
    // The M10 is listed for every subsystem.
    assert_eq!(list("13bd:1160"), list("13bd"));
    let text = failure(&place, &["list", "--config", "vgpuConfig.xml", "--gpu", "1eb8:1160"]);
    assert!(text.contains("physical GPU 1EB8:1160 is not listed"), "{text}");
    let text = failure(&place, &["list", "--config", "vgpuConfig.xml", "--gpu", "10de"]);
    assert!(text.contains("no physical GPU of this driver is called 10de"), "{text}");
}

/// A40, A2 and A100 are names of boards and hexadecimal numbers.
#[test]
fn the_name_of_a_board_wins_over_a_number() {
    let place = Place::new();
    let list = |gpu: &str| place.prints(&["list", "--config", "vgpuConfig.xml", "--gpu", gpu]);
    for name in ["T4", "t4", "GRID T4", "NVIDIA T4"] {
        assert_eq!(list(name), list("1EB8"), "{name}");
    }
    let text = SAMPLE.replace("GRID T4-8C", "NVIDIA A100-8C");
    fs::write(place.path("vgpuConfig.xml"), text.replace("0x13bd", "0xA100")).unwrap();
    assert!(list("A100").starts_with("Physical GPU 1EB8:12A2, NVIDIA A100"), "{}", list("A100"));
    assert!(list("0xA100").starts_with("Physical GPU A100:0000"), "{}", list("0xA100"));
    let refused = |gpu: &str| failure(&place, &["list", "--config", "vgpuConfig.xml", "--gpu", gpu]);
    assert!(refused("A40").contains("is called A40, and as a PCI device id A40 lacks digits"), "{}", refused("A40"));
    assert!(refused("B200").contains("is called B200, and none has the PCI device id B200"), "{}", refused("B200"));
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
    // Options of NixOS take the same names: with NVIDIA's prefix, and without it.
    let name = all[0]["name"].as_str().unwrap();
    let bare = name.strip_prefix("GRID ").unwrap();
    for name in [name, bare, &bare.to_lowercase()] {
        assert_eq!(json(&["show", name, "--config", "vgpuConfig.xml", "--json"]), all[0], "{name}");
    }
}

/// Users need not unpack a driver to see what it offers.
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
    let failed = failure(&place, &["gpus", "--config", &guest]);
    assert!(failed.contains("is the guest driver, not the one for a host"), "{failed}");
    assert!(failed.contains("give a GRID archive") && !failed.contains("--role"), "{failed}");
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
    cause: no physical GPU of this driver is called Tesla, and it is no PCI device id of one
    help: `vgpu profiles gpus` lists names and ids. Of what `lspci -nn` prints, [10de:1b38], the second half is the device
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
fn ids_are_numbers() {
    for text in ["1B38:0", "1b38:0000", "0x1B38:0x0"] {
        assert_eq!(text.parse::<GpuId>().unwrap().to_string(), "1B38:0000");
    }
    for text in ["", ":", "1B38", "1B38:", "+1:0", "1B38:0:0", "1 :0", "12345:0", "0x:0"] {
        assert!(text.parse::<GpuId>().is_err(), "{text}");
    }
}
