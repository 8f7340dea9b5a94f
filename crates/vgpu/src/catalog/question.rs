//! What a word on the command line means: a release, a branch, a driver or a GPU.

use super::gpus::{Board, Generation, Gpus};
use super::{Branch, Catalog, DriverVersion, Release, ReleaseNumber};

/// What a word stands for.
#[derive(Debug)]
pub enum Answer<'c> {
    Release(&'c Release),
    /// It looks like a release, but the catalog does not have it.
    UnknownRelease(ReleaseNumber),
    /// A branch by its number (17) or by its driver (R550, 550).
    Branch(&'c Branch),
    /// The releases with such a driver, newest first.
    Driver(DriverVersion, Vec<&'c Release>),
    Gpu(Gpu<'c>),
}

/// A GPU, or a generation of them.
#[derive(Debug)]
pub struct Gpu<'c> {
    /// PCI device id, if the user gave that.
    pub device: Option<u16>,
    pub generation: &'c Generation,
    /// The board, if NVIDIA lists it for vGPU.
    pub board: Option<&'c Board>,
}

/// Finds out what `word` means. `None` if we do not know.
///
/// GPUs are written as people copy them: `2235`, `10de:2235`, `[10de:2235]`, `2235:145a`, `A40`, or a generation: `Ada`.
pub fn ask<'c>(catalog: &'c Catalog, gpus: &'c Gpus, word: &str) -> Option<Answer<'c>> {
    let number = by_attribute(word).or_else(|| word.parse().ok());
    if let Some(release) = number.and_then(|number| catalog.find(&number)) {
        return Some(Answer::Release(release));
    }
    if let Some(version) = word.parse::<DriverVersion>().ok().filter(|version| !catalog.with_driver(version).is_empty())
    {
        let releases = catalog.with_driver(&version);
        return Some(Answer::Driver(version, releases));
    }
    // Two numbers can also be a Windows driver. They are a release only if we know the branch.
    if let Some(number) = number.filter(|number| catalog.branch(number.branch()).is_some()) {
        return Some(Answer::UnknownRelease(number));
    }
    branch(catalog, word).map(Answer::Branch).or_else(|| gpu(gpus, word).map(Answer::Gpu))
}

/// A release by the name of its package: `vgpu_17_6`, `grid_17_6`.
fn by_attribute(word: &str) -> Option<ReleaseNumber> {
    let number = word.strip_prefix("vgpu_").or_else(|| word.strip_prefix("grid_"))?;
    number.replace('_', ".").parse().ok()
}

fn branch<'c>(catalog: &'c Catalog, word: &str) -> Option<&'c Branch> {
    let driver = word.strip_prefix(['R', 'r']).unwrap_or(word);
    let by_driver = || catalog.branches().iter().find(|branch| branch.driver.to_string() == driver);
    word.parse().ok().and_then(|number| catalog.branch(number)).or_else(by_driver)
}

fn gpu<'c>(gpus: &'c Gpus, word: &str) -> Option<Gpu<'c>> {
    if let Some((generation, board)) = gpus.by_name(word) {
        return Some(Gpu { device: None, generation, board });
    }
    let device = vgpu_profiles::gpu_id::GpuQuery::parse(word)?.device;
    let generation = gpus.generation_of(device)?;
    Some(Gpu { device: Some(device), generation, board: generation.board(device) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a word means, in few words.
    fn means(word: &str) -> String {
        match ask(Catalog::builtin(), Gpus::builtin(), word) {
            Some(Answer::Release(release)) => format!("release {}", release.release),
            Some(Answer::UnknownRelease(number)) => format!("no release {number}"),
            Some(Answer::Branch(branch)) => format!("branch {}", branch.number),
            Some(Answer::Driver(_, releases)) => {
                format!("driver of {}", releases.iter().map(|r| r.release.to_string()).collect::<Vec<_>>().join(" "))
            }
            Some(Answer::Gpu(gpu)) => {
                format!("{} {}", gpu.generation.name, gpu.board.map_or("-", |board| board.name.as_str()))
            }
            None => "nothing".to_owned(),
        }
    }

    #[test]
    fn words_mean_what_people_mean() {
        for (word, meaning) in [
            ("17.6", "release 17.6"),
            ("17.9", "no release 17.9"),
            ("vgpu_17_6", "release 17.6"),
            ("grid_16_10", "release 16.10"),
            ("vgpu_17_9", "no release 17.9"),
            ("vgpu_17", "nothing"),
            ("17", "branch 17"),
            ("R550", "branch 17"),
            ("r550", "branch 17"),
            ("550", "branch 17"),
            ("550.163.02", "driver of 17.6"),
            ("550.90.07", "driver of 17.3 17.2"),
            ("553.74", "driver of 17.6"),
            ("2235", "Ampere A40"),
            ("10de:2235", "Ampere A40"),
            ("[10DE:2235]", "Ampere A40"),
            ("2235:145a", "Ampere A40"),
            ("1e84", "Turing -"),
            ("l40s", "Ada L40S"),
            ("NVIDIA A40", "Ampere A40"),
            ("Tesla P40", "Pascal P40"),
            ("GRID RTX6000", "Turing Quadro RTX 6000"),
            ("NVIDIA RTX 6000 Ada Generation", "Ada RTX 6000 Ada Generation"),
            ("NVIDIA", "nothing"),
            ("GeForce RTX 2070 SUPER", "nothing"),
            ("Blackwell", "Blackwell -"),
            ("10de", "nothing"),
            ("21", "nothing"),
            ("340.12", "nothing"),
            ("", "nothing"),
        ] {
            assert_eq!(means(word), meaning, "{word}");
        }
    }
}
