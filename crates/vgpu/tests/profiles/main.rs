//! `vgpu profiles` lists, shows and changes a vgpuConfig.xml. All bytes that the changes do not name stay.

mod clones;
mod listing;
mod mistakes;
mod overrides;
mod scene;
mod writing;
