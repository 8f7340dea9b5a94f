//! vgpuConfig.xml: listed, shown and changed; what was not asked for stays byte for byte.

mod clones;
mod listing;
mod mistakes;
mod overrides;
mod scene;
mod writing;
