//! Mistakes in changes and in files: each is explained, and nothing is written.

use crate::scene::*;
use insta::assert_snapshot;
use std::fs;
use vgpu_profiles::{Changes, Config, apply};

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
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"maxInstances": 0}}}"#), @"
    cause: overrides.43.maxInstances: a board that offers a profile has room for one at least, not 0
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"maxInstances": 3}}}"#), @"
    cause: overrides.43.maxInstances is 3, but the largest board that offers GRID M10-4Q has 8192 MiB, which is room for 2
    help: give it 2 at most, or lower vramAllocation with it
    ");
    assert_snapshot!(mistake(r#"{"overrides": {"43": {"maxInstances": 3, "vramAllocation": 3000}}}"#), @"
    cause: overrides.43.maxInstances is 3, but the largest board that offers GRID M10-4Q has 8192 MiB, which is room for 2
    help: give it 2 at most, or lower vramAllocation with it
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
    assert_snapshot!(mistake("{"), @"
    cause: EOF while parsing an object at line 1 column 1
    help: `vgpu profiles apply --help` shows what changes look like and what each option takes
    ");
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
    cause: overrides.43.vramAlocation: unknown field `vramAlocation`, expected one of `vramAllocation`, `maxInstances`, `heads`, `enableCuda`, `display`, `framerateLimit`, `xmlConfig` at line 1 column 37
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
fn a_hostile_file_is_refused_at_once() {
    let deep = format!("<vgpuconfig>{}", "<a>".repeat(900_000));
    assert!(Config::parse(&deep).is_err());
    let wide = format!("<vgpuconfig>{}</vgpuconfig>", "<a/>".repeat(1_100_000));
    assert!(Config::parse(&wide).is_err());
}
