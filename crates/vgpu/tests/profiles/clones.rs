//! Boards that get the profiles of another board.

use crate::scene::*;
use insta::assert_snapshot;
use vgpu_profiles::Config;

#[test]
fn a_clone_follows_the_board_it_is_made_from() {
    let changed = applied(SAMPLE, r#"{"clones": {"17f0:1": "13BD:0", "17C2:11a0": "13BD:0000"}}"#);
    // Each comment stays beside its board.
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
fn the_size_of_a_board_follows_its_clones() {
    // 1EB8:12A2 has 16 GiB and is the only board that offers 333. As a clone of the M10, it does not offer it any more.
    let both = r#"{"clones": {"1EB8:12A2": "13BD:0000"}, "overrides": {"333": {"vramAllocation": 99999}}}"#;
    let place = Place::new();
    assert_snapshot!(place.applies(both), @"
    note: 1EB8:12A2 was listed already; what it had is replaced by what 13BD:0000 has
    note: no physical GPU offers profile 333 (GRID T4-8C); its override has no effect yet
    ");
}
