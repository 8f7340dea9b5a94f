//! Limits: files and profiles beyond them are wrong.

/// The largest file that is read: ten times as large as NVIDIA's.
pub const MAX_BYTES: u64 = 8 << 20;

/// The least memory of a vGPU, in MiB. With less, the driver's reservation would leave almost nothing to the guest.
pub const MIN_VRAM_MIB: u32 = 384;
