//! The releases of NVIDIA vGPU software, from catalog/releases.toml, compiled in.
