//! Any bytes as a manifest: what is planned stays within the outputs, each file has a place of its own, and no link that
//! could be made leads out.

#![no_main]

use std::collections::HashSet;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use vgpu_driver::Role;
use vgpu_driver::links::Tree;
use vgpu_driver::manifest::Manifest;
use vgpu_driver::plan::Plan;
use vgpu_driver::words::options::Options;
use vgpu_driver::words::output::Outputs;

fuzz_target!(|data: &[u8]| {
    let Ok(manifest) = Manifest::parse(data) else { return };
    let outputs = Outputs::below(Path::new("/driver"));
    let options = Options {
        role: Role::Guest,
        destination: outputs.clone(),
        outputs,
        lib_path: vec![],
        lib_path_32: vec![],
        interpreter: None,
        vgpu_config: None,
        shell: None,
        tools: vec![],
        egl_platforms: true,
    };
    let Ok(plan) = Plan::new(manifest, &options) else { return };
    let mut taken = HashSet::new();
    let mut tree = Tree::default();
    for place in plan.files.values().flat_map(|file| &file.places) {
        assert!(stays_inside(place.path.as_str()), "{place:?}");
        assert!(taken.insert((place.output, place.path.clone())), "{place:?} is taken twice");
        tree.add_file(place.output, place.path.clone());
    }
    plan.links.iter().for_each(|(_, link)| tree.want(link.clone()));
    for link in tree.links().unwrap_or_default() {
        let leads_to = link.target.from(&link.path).expect("a link stays in its output");
        assert!(stays_inside(link.path.as_str()) && stays_inside(leads_to.as_str()), "{link:?}");
        assert!(tree.leads_to_file(link.output, &link.path), "{link:?} leads nowhere");
    }
});

fn stays_inside(path: &str) -> bool {
    !path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
