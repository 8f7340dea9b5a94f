//! Overrides of profiles: what they set, and that all other bytes stay.

use crate::scene::*;
use insta::assert_snapshot;
use vgpu_profiles::Config;

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
    // 0x3C is 60, and 0xEC000000 is the result of the formula. We would write other digits, but the numbers are the same.
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

/// Each board has the number, not the profile. If it is missing, it is added.
#[test]
fn more_of_a_profile_fit_on_every_board_that_offers_it() {
    let text = SAMPLE.replace(
        "<supportedVgpu vgpuId=\"333\">\n      <maxVgpus>2</maxVgpus>\n    ",
        "<supportedVgpu vgpuId=\"333\">",
    );
    let text = text.replace(
        "</pgpu>\n</vgpuconfig>",
        "  <supportedVgpu vgpuId='44'><maxVgpus> 16 </maxVgpus></supportedVgpu>\n  </pgpu>\n</vgpuconfig>",
    );
    let changed = applied(
        &text,
        r#"{"clones": {"1E07:0": "13BD:0"}, "overrides": {
            "43": {"maxInstances": 4, "vramAllocation": 2048}, "44": {"maxInstances": 8}, "333": {"maxInstances": 1}}}"#,
    );
    assert_snapshot!(difference(&text, &changed), @r#"
    -    <profileSize>0x100000000</profileSize>
    -    <framebuffer>0xEC000000</framebuffer>
    -    <fbReservation>0x14000000</fbReservation>
    +    <profileSize>0x80000000</profileSize>
    +    <framebuffer>0x74000000</framebuffer>
    +    <fbReservation>0xC000000</fbReservation>
    -    <supportedVgpu vgpuId="43"><maxVgpus>2</maxVgpus><digest type="signature">00ff</digest></supportedVgpu>
    -    <supportedVgpu vgpuId="44"><maxVgpus>16</maxVgpus><digest type="signature">11ff</digest></supportedVgpu>
    +    <supportedVgpu vgpuId="43"><maxVgpus>4</maxVgpus><digest type="signature">00ff</digest></supportedVgpu>
    +    <supportedVgpu vgpuId="44"><maxVgpus>8</maxVgpus><digest type="signature">11ff</digest></supportedVgpu>
    +  <pgpu fractionalMultiVgpu="0">
    +    <devId vendorId="0x10de" deviceId="0x1E07" subsystemVendorId="0x10de" subsystemId="0x0000"></devId>
    +    <supportedVgpu vgpuId="43"><maxVgpus>4</maxVgpus><digest type="signature">00ff</digest></supportedVgpu>
    +    <supportedVgpu vgpuId="44"><maxVgpus>8</maxVgpus><digest type="signature">11ff</digest></supportedVgpu>
    +  </pgpu>
    -    <supportedVgpu vgpuId="333"></supportedVgpu>
    -    <supportedVgpu vgpuId='44'><maxVgpus> 16 </maxVgpus></supportedVgpu>
    +    <supportedVgpu vgpuId="333"><maxVgpus>1</maxVgpus></supportedVgpu>
    +    <supportedVgpu vgpuId='44'><maxVgpus> 8 </maxVgpus></supportedVgpu>
    "#);
    let fits = |gpu: &str| {
        Config::parse(&changed).unwrap().gpu(gpu.parse().unwrap()).unwrap()[0].offer(43).unwrap().max_instances
    };
    assert_eq!((fits("13BD:0"), fits("1E07:0")), (Some(4), Some(4)));
}

/// If users write elements by hand (xmlConfig), the old values do not limit them.
#[test]
fn a_size_from_xml_config_is_not_checked() {
    let own = r#"{"overrides": {"43": {"maxInstances": 9, "vramAllocation": 4096, "xmlConfig": {"profileSize": "1"}},
        "44": {"maxInstances": 16}}}"#;
    let once = applied(SAMPLE, own);
    assert_eq!(applied(&once, own), once);
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
