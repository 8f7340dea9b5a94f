//! What NVIDIA's library says to a check: how GPUs are set up.

use super::check::Finding;
use super::observed::{Nvml, Observed};
use crate::machine::nvml::Setup;
use crate::machine::vgpu::HostGpu;

impl Observed {
    /// The worst of what `judge` finds on the GPUs that NVIDIA's driver has; `None` from it: the GPU has nothing of the kind.
    pub fn setups(&self, judge: impl Fn(&HostGpu, &Setup) -> Option<Finding>) -> Finding {
        let setups = match &self.nvml {
            Nvml::NotAsked => return Finding::irrelevant(),
            Nvml::Silent(error) => return Finding::unknown(format!("libnvidia-ml.so.1 can't be asked: {error}")),
            Nvml::Told { setups, .. } => setups,
        };
        Finding::worst(self.gpus.iter().filter_map(|host| judge(host, setups.get(&host.address())?)))
    }
}
