//! No two files of a crate import each other, neither directly nor through others.
//!
//! `cargo test --test circles` names the files of a circle. To break it, move the code that both need into a third file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The files of a crate by module path: `archive::zip`, and "" for lib.rs and main.rs.
type Modules = BTreeMap<String, Source>;

struct Source {
    file: PathBuf,
    /// Without comments and tests.
    code: String,
}

fn modules(source: &Path) -> Modules {
    let mut found = Modules::new();
    let mut directories = vec![source.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let file = entry.unwrap().path();
            if file.is_dir() {
                directories.push(file);
            } else if file.extension().is_some_and(|extension| extension == "rs") {
                let name = file.strip_prefix(source).unwrap().with_extension("");
                let name = name.to_str().unwrap().replace('/', "::");
                let name = name.strip_suffix("::mod").unwrap_or(&name);
                // A main.rs beside a lib.rs is a crate of its own, which uses the library.
                if name == "main" && source.join("lib.rs").exists() {
                    continue;
                }
                let name = if ["lib", "main"].contains(&name) { "" } else { name };
                let text = fs::read_to_string(&file).unwrap();
                let text = text.split("#[cfg(test)]\nmod").next().unwrap();
                let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
                found.insert(name.to_owned(), Source { file: file.clone(), code: code.join("\n") });
            }
        }
    }
    found
}

/// `a::{b, c::{self, d}}` is `a::b`, `a::c` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((stem, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        return vec![path.strip_suffix("::self").unwrap_or(path).to_owned()];
    };
    let inside = &rest[..rest.rfind('}').unwrap()];
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for character in inside.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(character);
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(&format!("{stem}{}", part.trim()))).collect()
}

/// The paths in `use` declarations; with `public` those that are exported again.
fn uses(code: &str, public: bool) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rsplit('\n').next().unwrap().trim();
        let exported = line.starts_with("pub");
        if (line.is_empty() || exported) && exported == public {
            found.extend(expand(code[at + 4..].split(';').next().unwrap()));
        }
    }
    found
}

/// The paths in expressions and types that name their module: `crate::archive::zip::open`.
fn inline(code: &str) -> Vec<String> {
    let word = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    let starts = ["crate::", "super::"].into_iter().flat_map(|start| code.match_indices(start));
    starts.map(|(at, _)| code[at..].split(word).next().unwrap().to_owned()).collect()
}

/// The module whose item a path names, seen from module `from`. Follows what facades export again.
fn resolve(modules: &Modules, from: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut base: Vec<&str> = from.split("::").filter(|part| !part.is_empty()).collect();
    match parts[0] {
        "crate" => {
            base.clear();
            parts.remove(0);
        }
        "self" => drop(parts.remove(0)),
        "super" => {
            while parts.first() == Some(&"super") {
                base.pop();
                parts.remove(0);
            }
        }
        first if !modules.contains_key(&[&base[..], &[first]].concat().join("::")) => return None,
        _ => {}
    }
    let mut at = base.join("::");
    let mut rest = parts.as_slice();
    while let Some((first, more)) = rest.split_first() {
        let deeper = if at.is_empty() { first.to_string() } else { format!("{at}::{first}") };
        if !modules.contains_key(&deeper) {
            break;
        }
        (at, rest) = (deeper, more);
    }
    let Some(item) = rest.first() else { return Some(at) };
    let exported = uses(&modules.get(&at)?.code, true);
    let export = exported.iter().find(|path| path.rsplit("::").next() == Some(item));
    export.and_then(|path| resolve(modules, &at, path)).or(Some(at))
}

/// The modules that each module takes something from.
fn arrows(modules: &Modules) -> BTreeMap<&str, BTreeSet<String>> {
    let arrows = modules.iter().map(|(name, source)| {
        let paths = uses(&source.code, false).into_iter().chain(inline(&source.code));
        let mut needed: BTreeSet<String> = paths.filter_map(|path| resolve(modules, name, &path)).collect();
        needed.remove(name);
        (name.as_str(), needed)
    });
    arrows.collect()
}

/// A circle through `module`, if there is one.
fn circle(arrows: &BTreeMap<&str, BTreeSet<String>>, module: &str) -> Option<Vec<String>> {
    let mut trails = vec![vec![module.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(trail) = trails.pop() {
        for next in &arrows[trail.last().unwrap().as_str()] {
            if next == module {
                return Some(trail);
            }
            if seen.insert(next.clone()) {
                trails.push([trail.clone(), vec![next.clone()]].concat());
            }
        }
    }
    None
}

#[test]
fn no_files_import_each_other() {
    let mut circles = Vec::new();
    for entry in fs::read_dir(CRATES).unwrap() {
        let modules = modules(&entry.unwrap().path().join("src"));
        let arrows = arrows(&modules);
        for module in arrows.keys() {
            if let Some(circle) = circle(&arrows, module) {
                let files = circle.iter().map(|name| modules[name].file.display().to_string());
                circles.push(files.collect::<Vec<_>>().join("\n  → "));
            }
        }
    }
    assert!(circles.is_empty(), "files import each other:\n  {}", circles.join("\n\n  "));
}

#[test]
fn circles_are_seen() {
    let source = |code: &str| Source { file: PathBuf::new(), code: code.to_owned() };
    let modules = Modules::from([
        ("".to_owned(), source("mod a;\nmod b;\nmod c;\npub use b::{self, B};\n")),
        ("a".to_owned(), source("use crate::B;\n")),
        ("b".to_owned(), source("use super::c::{self, C as D};\n")),
        ("c".to_owned(), source("fn f() { crate::a::g() }\n")),
    ]);
    let arrows = arrows(&modules);
    assert_eq!(arrows["b"], BTreeSet::from(["c".to_owned()]));
    assert_eq!(circle(&arrows, "a").unwrap().len(), 3);
    assert!(arrows[""].is_empty(), "what a crate exports again it does not use itself");
}
