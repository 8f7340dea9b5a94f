//! Symlinks of an installed driver: those of the manifest, and SONAME and `.so` for every library.
//!
//! The chain is `libfoo.so` → SONAME → file, as ldconfig makes it and programs expect. A link whose target is not
//! installed is not made.

use std::collections::BTreeMap;

use crate::manifest::Entry;
use crate::placement::Output;

/// What lies where in the outputs.
#[derive(Default)]
pub struct Tree {
    files: BTreeMap<(Output, String), Option<String>>,
}

impl Tree {
    /// Notes an installed file.
    pub fn add_file(&mut self, output: Output, path: &str) {
        self.files.insert((output, path.to_owned()), None);
    }

    /// Notes a symlink that is wanted, unless something lies there already.
    pub fn want_link(&mut self, output: Output, path: &str, target: &str) {
        self.files.entry((output, path.to_owned())).or_insert_with(|| Some(target.to_owned()));
    }

    /// Notes the links `libfoo.so` → SONAME → file for a library.
    pub fn want_library_links(&mut self, output: Output, path: &str, soname: Option<&str>) {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let Some((stem, version)) = file.split_once(".so") else { return };
        let at = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        // A SONAME comes from the file: it must be a plain name.
        let soname = soname.filter(|name| name.starts_with("lib") && !name.contains(['/', '\0']));
        if let Some(soname) = soname {
            self.want_link(output, &at(soname), file);
        }
        if !version.is_empty() {
            let plain = format!("{stem}.so");
            let target = soname.filter(|soname| *soname != plain).unwrap_or(file);
            self.want_link(output, &at(&plain), target);
        }
    }

    /// Whether a path leads to an installed file, through links or not.
    pub fn leads_to_file(&self, output: Output, path: &str) -> bool {
        let mut at = path.to_owned();
        for _ in 0..8 {
            match self.files.get(&(output, at.clone())) {
                None => return false,
                Some(None) => return true,
                Some(Some(target)) => match resolve(&at, target) {
                    Some(next) => at = next,
                    None => return false,
                },
            }
        }
        false
    }

    /// All links that lead somewhere: output, path, target. Sorted.
    pub fn links(&self) -> impl Iterator<Item = (Output, &str, &str)> {
        self.files.iter().filter_map(|((output, path), target)| {
            let target = target.as_deref()?;
            self.leads_to_file(*output, path).then_some((*output, path.as_str(), target))
        })
    }
}

/// Where a relative symlink at `link` points to; `None` where it leads out of the output.
fn resolve(link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What a symlink of the manifest points at, from where [`place`] puts it. `None` where the manifest doesn't say.
pub fn target(entry: &Entry) -> Option<String> {
    let target = entry.target.as_deref()?;
    // NVIDIA counts from the folder of libraries, and puts the link into one below it.
    let from_lib = entry.kind == "GBM_BACKEND_LIB_SYMLINK" && !target.contains('/');
    Some(if from_lib { format!("../{target}") } else { target.to_owned() })
}

/// Where a symlink of the manifest goes; `None` for kinds NixOS doesn't want.
pub fn place(entry: &Entry) -> Option<(Output, String)> {
    let name = &entry.file;
    let libraries = if entry.compat32 { Output::Lib32 } else { Output::Out };
    let path = entry.path.trim_matches('/');
    Some(match entry.kind.as_str() {
        "UTILITY_BIN_SYMLINK" => (Output::Bin, format!("bin/{name}")),
        "GLX_MODULE_SYMLINK" => (Output::Bin, join("lib/xorg/modules", path, name)),
        "GBM_BACKEND_LIB_SYMLINK" => (libraries, format!("lib/gbm/{name}")),
        "CUDA_SYMLINK" | "OPENCL_LIB_SYMLINK" | "VDPAU_SYMLINK" => (libraries, join("lib", path, name)),
        "OPENGL_SYMLINK"
        | "UTILITY_LIB_SYMLINK"
        | "NVCUVID_LIB_SYMLINK"
        | "ENCODEAPI_LIB_SYMLINK"
        | "NVIFR_LIB_SYMLINK"
        | "VGX_LIB_SYMLINK"
        | "GRID_LIB_SYMLINK"
        | "FLEXERA_LIB_SYMLINK" => (libraries, format!("lib/{name}")),
        _ => return None,
    })
}

fn join(folder: &str, path: &str, name: &str) -> String {
    if path.is_empty() { format!("{folder}/{name}") } else { format!("{folder}/{path}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::Output::Out;
    use super::*;
    use crate::manifest::Manifest;

    fn links_of(file: &str, soname: Option<&str>) -> Vec<String> {
        let mut tree = Tree::default();
        tree.add_file(Out, file);
        tree.want_library_links(Out, file, soname);
        tree.links().map(|(_, path, target)| format!("{path} -> {target}")).collect()
    }

    #[test]
    fn the_chain_goes_through_the_soname() {
        assert_eq!(
            links_of("lib/libcuda.so.550", Some("libcuda.so.1")),
            ["lib/libcuda.so -> libcuda.so.1", "lib/libcuda.so.1 -> libcuda.so.550"]
        );
        assert_eq!(
            links_of("lib/libglcore.so.550", Some("libglcore.so.550")),
            ["lib/libglcore.so -> libglcore.so.550"]
        );
        assert_eq!(links_of("lib/libglx.so.550", None), ["lib/libglx.so -> libglx.so.550"]);
        assert_eq!(links_of("lib/libvgpu.so.550", Some("libvgpu.so")), ["lib/libvgpu.so -> libvgpu.so.550"]);
        assert!(links_of("lib/drv.so", None).is_empty());
    }

    #[test]
    fn symlinks_of_the_manifest_go_where_their_targets_are() {
        let lines = [
            ("nvidia-tool 0000 UTILITY_BIN_SYMLINK nvidia-smi", "Bin/bin/nvidia-tool -> nvidia-smi"),
            ("libcuda.so 0000 CUDA_SYMLINK COMPAT32 / libcuda.so.1", "Lib32/lib/libcuda.so -> libcuda.so.1"),
            ("libGLX.so.0 0000 OPENGL_SYMLINK NATIVE libGLX.so.1", "Out/lib/libGLX.so.0 -> libGLX.so.1"),
            ("liba.so 0000 UTILITY_LIB_SYMLINK NATIVE liba.so.1", "Out/lib/liba.so -> liba.so.1"),
            ("liba.so 0000 NVCUVID_LIB_SYMLINK NATIVE liba.so.1", "Out/lib/liba.so -> liba.so.1"),
            ("liba.so 0000 ENCODEAPI_LIB_SYMLINK NATIVE liba.so.1", "Out/lib/liba.so -> liba.so.1"),
            ("liba.so 0000 NVIFR_LIB_SYMLINK NATIVE liba.so.1", "Out/lib/liba.so -> liba.so.1"),
            ("liba.so 0000 OPENCL_LIB_SYMLINK NATIVE / liba.so.1", "Out/lib/liba.so -> liba.so.1"),
            ("liba.so 0000 VGX_LIB_SYMLINK liba.so.1", "Out/lib/liba.so -> liba.so.1"),
            ("liba.so 0000 GRID_LIB_SYMLINK / liba.so.1", "Out/lib/liba.so -> liba.so.1"),
            ("liba.so 0000 FLEXERA_LIB_SYMLINK / liba.so.1", "Out/lib/liba.so -> liba.so.1"),
            ("libvdpau_nvidia.so.1 0000 VDPAU_SYMLINK NATIVE vdpau/ x", "Out/lib/vdpau/libvdpau_nvidia.so.1 -> x"),
            ("libvdpau_nvidia.so 0000 VDPAU_SYMLINK NATIVE / vdpau/x", "Out/lib/libvdpau_nvidia.so -> vdpau/x"),
            (
                "libglx.so 0000 GLX_MODULE_SYMLINK extensions/ libglx.so.1",
                "Bin/lib/xorg/modules/extensions/libglx.so -> libglx.so.1",
            ),
            (
                "nvidia-drm_gbm.so 0000 GBM_BACKEND_LIB_SYMLINK NATIVE libnvidia-allocator.so.1",
                "Out/lib/gbm/nvidia-drm_gbm.so -> ../libnvidia-allocator.so.1",
            ),
            ("libGL.so 0000 GLX_CLIENT_SYMLINK NATIVE libGL.so.1", "-"),
            ("libEGL.so 0000 EGL_CLIENT_SYMLINK NATIVE libEGL.so.1", "-"),
            ("libGLESv2.so 0000 GLVND_SYMLINK NATIVE libGLESv2.so.2", "-"),
            ("libOpenCL.so 0000 OPENCL_WRAPPER_SYMLINK NATIVE / libOpenCL.so.1", "-"),
            ("nvidia-resume.service 0000 SYSTEMD_UNIT_SYMLINK systemd-hibernate.service.requires/", "-"),
        ];
        for (line, expected) in lines {
            let manifest = format!("driver\n550\n\n\n\n\n\n\n{line} MODULE:x\n");
            let entry = &Manifest::parse(manifest.as_bytes()).unwrap().entries[0];
            let found = place(entry).zip(target(entry));
            let found = found.map_or("-".into(), |((output, path), target)| format!("{output:?}/{path} -> {target}"));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn a_soname_cannot_lead_out() {
        assert_eq!(links_of("lib/liba.so.1", Some("../../etc/x")), ["lib/liba.so -> liba.so.1"]);
    }

    #[test]
    fn links_to_nothing_and_in_circles_are_not_made() {
        let mut tree = Tree::default();
        tree.want_link(Out, "lib/a", "b");
        tree.want_link(Out, "lib/b", "a");
        tree.want_link(Out, "lib/c", "../../../etc/passwd");
        tree.want_link(Out, "lib/d", "/etc/passwd");
        tree.add_file(Out, "lib/file");
        tree.want_link(Out, "lib/e", "../../../lib/file");
        tree.want_link(Out, "lib/f", "../../out/lib/file");
        assert_eq!(tree.links().count(), 0, "{:?}", tree.links().collect::<Vec<_>>());
    }
}
