//! vgpuConfig.xml of a host driver: what a physical GPU may be cut into. Read it, clone GPUs, override profiles.
