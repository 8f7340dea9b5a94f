//! What is too large or too small to be true.

/// The largest file that is read, ten times NVIDIA's.
pub const MAX_BYTES: u64 = 8 << 20;

/// The least memory of a vGPU, in MiB. Below it, the formula of the reservation leaves the guest next to nothing.
pub const MIN_VRAM_MIB: u32 = 384;
