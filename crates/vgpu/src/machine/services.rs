//! The states of services, from systemd. If systemd cannot be asked, their files and processes tell.

use std::collections::BTreeMap;
use std::path::Path;

use super::{files, program};

/// Directories of units, the most important first (systemd.unit(5)).
const UNIT_DIRECTORIES: [&str; 4] =
    ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Service {
    /// Without `.service`.
    pub name: String,
    pub state: State,
    /// The program that it runs, from its unit.
    #[serde(skip)]
    pub program: Option<String>,
}

/// The state of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is no such unit.
    Missing,
    Running,
    /// It has done its work; systemd counts it as active.
    Exited,
    /// It is starting.
    Starting,
    /// Not started, or ended without an error.
    Stopped,
    Failed,
    /// It has a unit, but systemd cannot be asked about its state.
    Unknown,
}

/// The states of services of the machine with this root directory. Names are without `.service`.
pub fn states(root: &Path, names: &[&str]) -> Vec<Service> {
    let asked = if root == Path::new("/") { ask_systemd(names) } else { BTreeMap::new() };
    let running = running_programs(root);
    let service = |name: &str| {
        let units = UNIT_DIRECTORIES.iter().map(|directory| root.join(directory).join(format!("{name}.service")));
        let unit = units.into_iter().find(|path| path.symlink_metadata().is_ok());
        let by_files = || match &unit {
            // The kernel keeps 15 characters of a program's name.
            _ if running.iter().any(|program| *program == name[..name.len().min(15)]) => State::Running,
            Some(_) => State::Unknown,
            None => State::Missing,
        };
        Service {
            state: asked.get(name).copied().unwrap_or_else(by_files),
            program: unit.and_then(|path| exec_start(&files::read(&path)?)),
            name: name.to_owned(),
        }
    };
    names.iter().map(|name| service(name)).collect()
}

/// What `ExecStart=` of a unit runs.
fn exec_start(unit: &str) -> Option<String> {
    let command = unit.lines().rev().find_map(|line| line.strip_prefix("ExecStart="))?;
    Some(command.split_whitespace().next()?.trim_start_matches(['@', '-', ':', '+', '!']).to_owned())
}

/// Names of the programs that run.
fn running_programs(root: &Path) -> Vec<String> {
    let processes = files::entries(&root.join("proc"));
    let processes = processes.filter(|path| files::name(path).is_some_and(|name| name.parse::<u32>().is_ok()));
    processes.filter_map(|path| files::read(&path.join("comm"))).collect()
}

/// The output of `systemctl show`. Empty if there is no systemd, or if it does not answer.
fn ask_systemd(names: &[&str]) -> BTreeMap<String, State> {
    let units: Vec<String> = names.iter().map(|name| format!("{name}.service")).collect();
    let mut arguments = vec!["show", "--property=Id,LoadState,ActiveState,SubState"];
    arguments.extend(units.iter().map(String::as_str));
    program::output("systemctl", &arguments).map_or_else(BTreeMap::new, |text| parse(&text))
}

/// Reads blocks of `Id=…`, `LoadState=…`, `ActiveState=…`, `SubState=…`, with an empty line between them.
fn parse(text: &str) -> BTreeMap<String, State> {
    let block = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let state = match (field("LoadState")?, field("ActiveState")?, field("SubState")?) {
            ("not-found" | "masked", ..) => State::Missing,
            (_, "active", "exited") => State::Exited,
            (_, "active" | "reloading", _) => State::Running,
            (_, "activating", _) => State::Starting,
            (_, "failed", _) => State::Failed,
            _ => State::Stopped,
        };
        Some((field("Id")?.trim_end_matches(".service").to_owned(), state))
    };
    text.split("\n\n").filter_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_those_of_systemd() {
        let block = |id: &str, load: &str, active: &str, sub: &str| {
            format!("Id={id}.service\nLoadState={load}\nActiveState={active}\nSubState={sub}\n")
        };
        let text = [
            block("a", "loaded", "active", "running"),
            block("b", "loaded", "active", "exited"),
            block("c", "loaded", "failed", "failed"),
            block("d", "loaded", "inactive", "dead"),
            block("e", "not-found", "inactive", "dead"),
            block("f", "loaded", "activating", "auto-restart"),
        ];
        let states: Vec<State> = parse(&text.join("\n")).into_values().collect();
        use State::*;
        assert_eq!(states, [Running, Exited, Failed, Stopped, Missing, Starting]);
        assert!(parse("").is_empty());
    }

    #[test]
    fn without_systemd_files_and_processes_tell() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        file(
            "etc/systemd/system/nvidia-vgpu-mgr.service",
            "[Service]\nExecStart=-/nix/store/x/bin/nvidia-vgpu-mgr -v\n",
        );
        file("lib/systemd/system/nvidia-vgpud.service", "[Service]\n");
        file("proc/12/comm", "nvidia-vgpu-mgr\n");
        let states = states(root.path(), &["nvidia-vgpu-mgr", "nvidia-vgpud", "nvidia-gridd"]);
        let of: Vec<State> = states.iter().map(|service| service.state).collect();
        assert_eq!(of, [State::Running, State::Unknown, State::Missing]);
        assert_eq!(states[0].program.as_deref(), Some("/nix/store/x/bin/nvidia-vgpu-mgr"));
    }
}
