//! Options of the module nvidia: are they in effect, and is the scheduler for vGPUs valid?

use super::super::check::{Check, Finding, Fix, Group};
use super::super::observed::Observed;
use crate::machine::options;

pub const CHECKS: &[Check] = &[
    Check {
        id: "options-in-effect",
        group: Group::Modules,
        after: &["nvidia-module"],
        question: "Does the module nvidia run with the options that are set for it?",
        symptom: "an option was changed, and nothing changes",
        fix: Fix {
            nixos: "nixos-rebuild boot, then restart the machine: options are read when the module is loaded",
            elsewhere: "restart the machine (if an initramfs loads the module, build that again first): options are read \
                        when the module is loaded",
        },
        answer: in_effect,
    },
    Check {
        id: "scheduler",
        group: Group::Modules,
        after: &["nvidia-module"],
        question: "Is the scheduler that is set for vGPUs valid?",
        symptom: "RmPVMRL is set, and vGPUs share the GPU as before, or stutter",
        fix: Fix {
            nixos: "set hardware.nvidia.vgpu.scheduler.policy, which writes RmPVMRL for you, or correct it in \
                    boot.extraModprobeConfig: 0x00 best effort, 0x01 equal share, 0x11 fixed share; 0x00TT0001 and \
                    0x00TT0011 with a time slice of TT (01 to 1E) milliseconds",
            elsewhere: "correct RmPVMRL in /etc/modprobe.d: 0x00 best effort, 0x01 equal share, 0x11 fixed share; \
                        0x00TT0001 and 0x00TT0011 with a time slice of TT (01 to 1E) milliseconds",
        },
        answer: scheduler,
    },
];

fn in_effect(seen: &Observed) -> Finding {
    let Some(there) = &seen.options.in_effect else {
        return Finding::unknown(format!("/{} can't be read", options::IN_EFFECT));
    };
    Finding::worst(seen.options.set.iter().filter_map(|set| {
        // Not every option of the module is shown there.
        let value = there.get(&set.name)?;
        let evidence = format!("/{}: NVreg_{}={}; /{}: {value}", set.file, set.name, set.value, options::IN_EFFECT);
        let same = *value == set.value || number(value).is_some_and(|there| number(&set.value) == Some(there));
        Some(if same { Finding::ok(evidence) } else { Finding::warning(evidence) })
    }))
}

/// A number as the kernel reads options: decimal, hexadecimal with 0x, or octal with 0.
fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u32::from_str_radix(digits, 16).ok();
    }
    match text.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        Some(digits) => u32::from_str_radix(digits, 8).ok(),
        None => text.parse().ok(),
    }
}

/// Checks the scheduler that is in effect, and the one that is set for the next start.
fn scheduler(seen: &Observed) -> Finding {
    let Some(there) = &seen.options.in_effect else {
        return Finding::unknown(format!("/{} can't be read", options::IN_EFFECT));
    };
    let names = ["RegistryDwords", "RegistryDwordsPerDevice"];
    let in_effect = names.iter().filter_map(|name| Some((options::IN_EFFECT.to_owned(), there.get(*name)?.clone())));
    let set = seen.options.set.iter().filter(|set| names.contains(&set.name.as_str()));
    let all = in_effect.chain(set.map(|set| (set.file.clone(), set.value.clone())));
    let found = Finding::worst(all.flat_map(|(file, keys)| {
        let findings = keys.split(';').filter_map(|key| {
            let (key, value) = key.split_once('=')?;
            key.trim().eq_ignore_ascii_case("RmPVMRL").then(|| judge(&file, value))
        });
        findings.collect::<Vec<_>>()
    }));
    let none = || Finding::ok(format!("/{}: no RmPVMRL: best effort", options::IN_EFFECT));
    if found.status.is_some() { found } else { none() }
}

/// A value of RmPVMRL, by its bits (src/nvidia/interface/nvrm_registry.h of open-gpu-kernel-modules): 0 switches it on, 1 and 3
/// take away what evens out shares, 7:4 are the policy, 23:16 the time slice in milliseconds. Where shares are evened out,
/// 31:24 and 21:12 say how, and there is no time slice.
fn judge(file: &str, value: &str) -> Finding {
    let evidence = format!("/{file}: RmPVMRL={}", value.trim());
    let Some(bits) = number(value) else { return Finding::failed(format!("{evidence}: no number")) };
    let policy = bits >> 4 & 0xf;
    let averaging = bits >> 24;
    let slice = bits >> 16 & 0xff;
    let wrong = if bits == 0 {
        None
    } else if bits & 1 == 0 {
        Some("bit 0 is not set, which switches it on")
    } else if policy > 1 {
        Some("there is no such policy: 0 is equal share, 1 is fixed share")
    } else if bits & 0xf04 != 0 {
        Some("bits are set that mean nothing")
    } else if averaging == 0 && bits & 0xf000 == 0 && slice > 0x1e {
        Some("a time slice is 1 to 30 (1E) milliseconds")
    } else {
        None
    };
    match wrong {
        Some(wrong) => Finding::failed(format!("{evidence}: {wrong}")),
        None => Finding::ok(evidence),
    }
}
