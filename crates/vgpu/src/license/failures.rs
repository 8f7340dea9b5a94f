//! The lines that nvidia-gridd writes into its journal when it gets no licence: what each means, and what to do.
//!
//! These are lines of nvidia-gridd since 13.0. They come from NVIDIA's licensing guides, the list of known issues of
//! fastapi-dls, and reports of users. NVIDIA does not translate them, so they are compared word for word.

/// A reason for which nvidia-gridd gets no licence.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// A stable name, for programs: `no-token`.
    pub id: &'static str,
    /// One of these is in the line.
    lines: &'static [&'static str],
    /// Why it happens: half a sentence.
    pub cause: &'static str,
    /// What to do.
    pub help: &'static str,
}

/// All known failures, the most specific first: a line belongs to the first failure that fits.
pub const FAILURES: &[Failure] = &[
    Failure {
        id: "no-token",
        lines: &["Unable to fetch the client configuration token file"],
        cause: "there is no client configuration token where nvidia-gridd looks, or it may not read it",
        help: "get a token from the licence server and set hardware.nvidia.vgpu.licensing.tokenFile to it, or put it \
               into /etc/nvidia/ClientConfigToken; then restart nvidia-gridd",
    },
    Failure {
        id: "certificate",
        lines: &["certificate verify failed"],
        cause: "nvidia-gridd of 18.0 and later accepts NVIDIA's certificate authority alone, and the server has its own",
        help: "set hardware.nvidia.vgpu.griddUnlock, with the server's root certificate",
    },
    Failure {
        id: "token-refused",
        lines: &[
            "Failed to decode signature from token received",
            "Failed to read configurations from client configuration token",
            "Failed to setup cloud License Manager",
        ],
        cause: "the token is damaged, or from 18.0 on signed by a server that has its own certificate authority",
        help: "look at it with: vgpu license token FILE; if nothing is wrong with it, set \
               hardware.nvidia.vgpu.griddUnlock, with the server's root certificate",
    },
    Failure {
        id: "clock",
        lines: &["The allowed time to process response has expired"],
        cause: "the clocks of guest and server differ, or the token was made more than an hour before its first use",
        help: "synchronise the clocks of both (time zone, too); then get a new token and restart nvidia-gridd",
    },
    Failure {
        id: "clock-set-back",
        lines: &["Clock windback has been detected"],
        cause: "the guest's clock was set back since the last licence: hibernation, or a hardware clock in local time",
        help: "synchronise the guest's clock; if that is not enough, stop nvidia-gridd, remove \
               /var/lib/nvidia/GridLicensing and start it again",
    },
    Failure {
        id: "network",
        lines: &["Generic network communication failure"],
        cause: "the licence server can't be reached: its name, a firewall, a proxy, or TLS",
        help: "see which server and port the token wants, and whether they answer: vgpu license status --connect",
    },
    Failure {
        id: "no-such-licence",
        lines: &["No pool features found for"],
        cause: "the server has no licence of this kind: the vGPU's series decides which one is needed",
        help: "add the licence to the server's pool, or use a profile of another series: Q needs vWS, B vPC or vWS, \
               A vApps, C compute",
    },
    Failure {
        id: "feature-type",
        lines: &["Invalid feature type requested"],
        cause: "FeatureType in /etc/nvidia/gridd.conf does not fit this GPU",
        help: "leave hardware.nvidia.vgpu.licensing.featureType at \"automatic\" with a vGPU",
    },
    Failure {
        id: "trusted-store",
        lines: &["Failed to update local trusted store", "Maximum buffer size exceeded", "Failed to register client"],
        cause: "the licence kept on this machine is damaged, or another machine's: virtual machines that were cloned",
        help: "stop nvidia-gridd, remove /var/lib/nvidia/GridLicensing and start it again",
    },
    Failure {
        id: "refused",
        lines: &["Failed to acquire license", "Failed to renew license"],
        cause: "the licence server gave none, for the reason that the line names",
        help: "see the licence server's own log",
    },
    Failure {
        id: "unlicensed",
        lines: &["Valid GRID license not found"],
        cause: "there is no licence (yet), and the vGPU gets slower",
        help: "see the lines before it: journalctl -u nvidia-gridd",
    },
];

/// Lines that look like failures but are none.
const HARMLESS: &[&str] = &[
    // Without licensing options there is no such file, and none is needed.
    "Failed to open file /etc/nvidia/gridd.conf",
    // The token has the server.
    "Configuration parameter ( ServerAddress",
    "Unable to open directory /etc/nvidia/license",
];

/// What this line of nvidia-gridd's journal means, if it tells of a failure that is known.
pub fn explain(line: &str) -> Option<&'static Failure> {
    FAILURES.iter().find(|failure| failure.lines.iter().any(|text| line.contains(text)))
}

/// Whether the line tells of a failure, even an unknown one.
pub fn is_failure(line: &str) -> bool {
    explain(line).is_some() || (line.starts_with("Failed to ") && !HARMLESS.iter().any(|text| line.contains(text)))
}
