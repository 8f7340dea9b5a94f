//! Symlinks of an installed driver: those of the manifest, and SONAME and `.so` for every library. Nothing is made here.
//!
//! The chain is `libfoo.so` → SONAME → file. ldconfig makes it so, and programs expect it. Every link leads to a file of
//! its own output. If a link of the manifest leads nowhere, that is an error, unless its target is a file that NixOS does
//! not want.

use std::collections::{BTreeMap, HashSet};

use crate::manifest::{Entry, Type};
use crate::words::file_type::Rule;
use crate::words::output::Output::{self, *};
use crate::words::path::{PathError, RelativePath, Target};

/// The most links that may follow each other. Linux follows as many.
const LONGEST_CHAIN: usize = 40;

/// A symlink to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub output: Output,
    pub path: RelativePath,
    pub target: Target,
}

/// Where a symlink of the manifest goes, and where it leads. `None` for types that NixOS doesn't want.
///
/// # Errors
/// When the entry's name cannot be a path there.
pub fn link(entry: &Entry) -> Result<Option<Link>, PathError> {
    let (Type::Recognised(file_type), Some(target)) = (&entry.file_type, entry.target.clone()) else { return Ok(None) };
    let libraries = if entry.compat32 { Lib32 } else { Out };
    let own = entry.path.as_ref().map_or(String::new(), |path| format!("{path}/"));
    let name = &entry.file;
    let (output, path, target) = match file_type.rule() {
        Rule::Link(output, folder) => (output, format!("{folder}/{name}"), target),
        Rule::ModuleLink => (Bin, format!("lib/xorg/modules/{own}{name}"), target),
        Rule::LibraryLink => (libraries, format!("lib/{own}{name}"), target),
        Rule::BackendLink if target.is_beside() => (libraries, format!("lib/gbm/{name}"), target.from_below()),
        Rule::BackendLink => (libraries, format!("lib/gbm/{name}"), target),
        _ => return Ok(None),
    };
    Ok(Some(Link { output, path: RelativePath::parse(path)?, target }))
}

/// Why a link cannot be made. The text continues a sentence that begins with its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("is a link to {0}, which leads out of the output {1}")]
    Leaves(String, &'static str),
    #[error("is a link to {0}, which is not there")]
    Dangles(String),
    #[error("is a link that leads back to itself")]
    Circle,
    #[error("would lie below {0}, which is no folder")]
    BelowFile(String),
}

/// The files and links of all outputs.
#[derive(Default)]
pub struct Tree {
    nodes: BTreeMap<(Output, RelativePath), Option<Target>>,
}

impl Tree {
    /// Notes an installed file.
    pub fn add_file(&mut self, output: Output, path: RelativePath) {
        self.nodes.insert((output, path), None);
    }

    /// Notes a symlink that is wanted, unless something lies there already.
    pub fn want(&mut self, link: Link) {
        self.nodes.entry((link.output, link.path)).or_insert(Some(link.target));
    }

    /// Notes the links `libfoo.so` → SONAME → file of a library.
    pub fn want_library_links(&mut self, output: Output, path: &RelativePath, soname: Option<&str>) {
        let file = path.name();
        let Some((stem, version)) = file.split_once(".so") else { return };
        let mut want = |name: &str, target: &str| {
            // The SONAME comes from the file, and may not be a file name.
            if let (Ok(path), Ok(target)) = (path.beside(name), Target::parse(target)) {
                self.want(Link { output, path, target });
            }
        };
        let soname = soname.filter(|name| name.starts_with("lib") && !name.contains('/'));
        let soname = soname.filter(|name| RelativePath::parse(name).is_ok());
        if let Some(soname) = soname {
            want(soname, file);
        }
        if !version.is_empty() {
            let plain = format!("{stem}.so");
            want(&plain, soname.filter(|soname| *soname != plain).unwrap_or(file));
        }
    }

    /// Notes the link by which GBM finds NVIDIA's backend.
    pub fn want_default_backend(&mut self, output: Output) {
        let path = RelativePath::parse("lib/gbm/nvidia-drm_gbm.so");
        if let (Ok(path), Ok(target)) = (path, Target::parse("../libnvidia-allocator.so")) {
            self.want(Link { output, path, target });
        }
    }

    /// Follows links from a path to an installed file. If they end elsewhere, the error says where.
    fn follow(&self, output: Output, path: &RelativePath) -> Result<(), DeadEnd> {
        let mut at = path.clone();
        for _ in 0..LONGEST_CHAIN {
            match self.nodes.get(&(output, at.clone())) {
                None => return Err(DeadEnd::At(at)),
                Some(None) => return Ok(()),
                Some(Some(target)) => at = target.from(&at).ok_or_else(|| DeadEnd::Out(target.clone()))?,
            }
        }
        Err(DeadEnd::Circle)
    }

    /// Whether a path leads to an installed file, directly or through links.
    pub fn leads_to_file(&self, output: Output, path: &RelativePath) -> bool {
        self.follow(output, path).is_ok()
    }

    /// Checks that a link of the manifest can be made. `Ok(false)` means that it leads to a file that is left out.
    /// `left_out` has the names of these files.
    ///
    /// # Errors
    /// When it leads nowhere at all.
    pub fn can_make(&self, link: &Link, is_left_out: impl Fn(&str) -> bool) -> Result<bool, LinkError> {
        match self.follow(link.output, &link.path) {
            Ok(()) => Ok(true),
            Err(DeadEnd::At(path)) if is_left_out(path.name()) => Ok(false),
            Err(DeadEnd::At(path)) => Err(LinkError::Dangles(path.to_string())),
            Err(DeadEnd::Out(target)) => Err(LinkError::Leaves(target.to_string(), link.output.name())),
            Err(DeadEnd::Circle) => Err(LinkError::Circle),
        }
    }

    /// All links that lead to a file, sorted.
    ///
    /// # Errors
    /// When one would lie below a file or another link.
    pub fn links(&self) -> Result<Vec<Link>, (RelativePath, LinkError)> {
        let mut links = Vec::new();
        for ((output, path), target) in &self.nodes {
            let Some(target) = target.clone().filter(|_| self.leads_to_file(*output, path)) else { continue };
            for folder in path.folders() {
                let folder = RelativePath::parse(folder).map_err(|_| (path.clone(), LinkError::Circle))?;
                if self.nodes.contains_key(&(*output, folder.clone())) {
                    return Err((path.clone(), LinkError::BelowFile(folder.to_string())));
                }
            }
            links.push(Link { output: *output, path: path.clone(), target });
        }
        Ok(links)
    }
}

/// Where a chain of links ends that does not lead to a file.
enum DeadEnd {
    At(RelativePath),
    Out(Target),
    Circle,
}

/// The first of these paths that lies below another one, with the other one.
pub fn nested<'p>(paths: impl IntoIterator<Item = &'p RelativePath>) -> Option<(&'p RelativePath, String)> {
    let paths: Vec<&RelativePath> = paths.into_iter().collect();
    let all: HashSet<&str> = paths.iter().map(|path| path.as_str()).collect();
    paths.into_iter().find_map(|path| {
        let above = path.folders().find(|folder| all.contains(folder))?;
        Some((path, above.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).unwrap()
    }

    fn to(at: &str, target: &str) -> Link {
        Link { output: Out, path: path(at), target: Target::parse(target).unwrap() }
    }

    fn links_of(file: &str, soname: Option<&str>) -> Vec<String> {
        let mut tree = Tree::default();
        tree.add_file(Out, path(file));
        tree.want_library_links(Out, &path(file), soname);
        tree.links().unwrap().iter().map(|link| format!("{} -> {}", link.path, link.target)).collect()
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
            let found = link(entry)
                .unwrap()
                .map_or("-".into(), |Link { output, path, target }| format!("{output:?}/{path} -> {target}"));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn a_soname_cannot_lead_out() {
        for soname in ["../../etc/x", "lib/../../x", "lib\nx", "lib\0"] {
            assert_eq!(links_of("lib/liba.so.1", Some(soname)), ["lib/liba.so -> liba.so.1"], "{soname:?}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_told_apart() {
        let mut tree = Tree::default();
        tree.add_file(Out, path("lib/file"));
        let circle = [to("lib/a", "b"), to("lib/b", "a")];
        let out = to("lib/c", "../../etc/passwd");
        let up = to("lib/e", "../../lib/file");
        let (dangling, left_out) = (to("lib/f", "absent"), to("lib/g", "unwanted"));
        let good = to("lib/deep/h", "../file");
        for link in circle.iter().chain([&out, &up, &dangling, &left_out, &good]) {
            tree.want(link.clone());
        }
        let can = |link: &Link| tree.can_make(link, |name| name == "unwanted").map_err(|error| error.to_string());
        assert_eq!(can(&circle[0]), Err("is a link that leads back to itself".into()));
        assert_eq!(can(&out), Err("is a link to ../../etc/passwd, which leads out of the output out".into()));
        assert_eq!(can(&up), Err("is a link to ../../lib/file, which leads out of the output out".into()));
        assert_eq!(can(&dangling), Err("is a link to lib/absent, which is not there".into()));
        assert_eq!(can(&left_out), Ok(false));
        assert_eq!(can(&good), Ok(true));
        assert_eq!(tree.links().unwrap(), [good]);
    }

    #[test]
    fn nothing_lies_below_a_file_or_a_link() {
        let mut tree = Tree::default();
        tree.add_file(Out, path("lib/file"));
        tree.want(to("lib/file/a", "../file"));
        assert_eq!(tree.links().unwrap_err().1.to_string(), "would lie below lib/file, which is no folder");
        assert_eq!(nested(&[path("a/b"), path("a/b/c")]), Some((&path("a/b/c"), "a/b".into())));
        assert_eq!(nested(&[path("a/b"), path("a/bc/c")]), None);
    }
}
