//! Answers checks about the setup of GPUs, from NVIDIA's library.

use super::check::Finding;
use super::observed::{Nvml, Observed};
use crate::machine::nvml::Setup;
use crate::machine::vgpu::HostGpu;

impl Observed {
    /// The worst finding of `judge` on the GPUs that NVIDIA's driver has. If `judge` returns `None`, the question does not
    /// apply to that GPU.
    pub fn setups(&self, judge: impl Fn(&HostGpu, &Setup) -> Option<Finding>) -> Finding {
        let setups = match &self.nvml {
            Nvml::NotAsked => return Finding::irrelevant(),
            Nvml::Silent(error) => return Finding::unknown(format!("libnvidia-ml.so.1 can't be asked: {error}")),
            Nvml::Told { setups, .. } => setups,
        };
        Finding::worst(self.gpus.iter().filter_map(|host| judge(host, setups.get(&host.address())?)))
    }
}
