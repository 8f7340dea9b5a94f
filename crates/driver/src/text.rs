//! Files of a driver that name other files: scripts, ICDs, and the path compiled into nvidia-vgpud.

use std::io::{self, Write};

use memchr::memmem;
use serde_json::Value;

use crate::words::options::Options;

/// Where NVIDIA's nvidia-vgpud looks for the profiles, and where NixOS has them.
const COMPILED_CONFIG: &[u8] = b"/usr/share/nvidia/vgpu/vgpuConfig.xml";
const NIXOS_CONFIG: &[u8] = b"/etc/nvidia/vgpu/vgpuConfig.xml";

/// Redirects nvidia-vgpud to `/etc/nvidia/vgpu/vgpuConfig.xml`. NUL bytes after the shorter path keep the length of the
/// file. Returns how often the path was there.
pub fn redirect_config(program: &mut [u8]) -> usize {
    let places: Vec<usize> = memmem::find_iter(program, COMPILED_CONFIG).collect();
    for &place in &places {
        if let Some(path) = program.get_mut(place..place + COMPILED_CONFIG.len()) {
            path.fill(0);
            path[..NIXOS_CONFIG.len()].copy_from_slice(NIXOS_CONFIG);
        }
    }
    places.len()
}

/// A script may become twice as long and these bytes longer, by long paths in place of short ones.
const MOST_GROWTH: usize = 64 << 10;

/// Makes a script fit NixOS: its shell, its PATH, and the places of other programs. `None` if it would grow out of proportion.
pub fn script(text: &str, options: &Options) -> Option<String> {
    let (manage, sleep) =
        (options.outputs.bin.join("bin/sriov-manage"), options.outputs.out.join("bin/nvidia-sleep.sh"));
    let text = by_path(text, "/usr/lib/nvidia/sriov-manage", &manage.display().to_string())?;
    let mut text = by_path(&text, "/usr/bin/nvidia-sleep.sh", &sleep.display().to_string())?;
    for (path, name) in [("/bin/grep", "grep"), ("/bin/ls", "ls")] {
        text = by_name(&text, path, name);
    }
    // nvidia-sleep.sh sets PATH to directories NixOS doesn't have.
    text = text.replace("\nPATH=\"/", "\nPATH=\"$PATH:/");
    let Some((first, rest)) = text.split_once('\n') else { return Some(text) };
    let first = match &options.shell {
        Some(shell) if first.starts_with("#!") => format!("#!{}", shell.display()),
        _ => first.to_owned(),
    };
    let tools: Vec<_> = options.tools.iter().map(|dir| dir.display().to_string()).collect();
    let path = if tools.is_empty() { String::new() } else { format!("PATH=\"{}:$PATH\"\n", tools.join(":")) };
    Some(format!("{first}\n{path}{rest}"))
}

/// Puts the path `new` in place of `old`. Between double quotes it stays as it is: [`Options::check`] refuses what has a meaning
/// there. Elsewhere each character that the shell may read as something else gets a backslash.
fn by_path(text: &str, old: &str, new: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,=@%".contains(c);
    let bare: String = new.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect();
    if text.matches(old).count() * bare.len() > text.len() + MOST_GROWTH {
        return None;
    }
    let mut changed = String::with_capacity(text.len());
    let (mut done, mut is_quoted) = (0, false);
    for (at, _) in text.match_indices(old) {
        let between = &text[done..at];
        // A line begins outside of quotes.
        let (was_quoted, line) = between.rsplit_once('\n').map_or((is_quoted, between), |(_, line)| (false, line));
        is_quoted = was_quoted ^ (line.matches('"').count() % 2 == 1);
        changed += between;
        changed += if is_quoted { new } else { &bare };
        done = at + old.len();
    }
    Some(changed + &text[done..])
}

/// Replaces the path of a program by its name. Longer paths that contain `path` stay.
fn by_name(text: &str, path: &str, name: &str) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let mut changed = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in text.match_indices(path) {
        let (before, after) = (&text[..at], &text[at + path.len()..]);
        if !before.ends_with(in_word) && !after.starts_with(in_word) {
            changed += &text[done..at];
            changed += name;
            done = at + path.len();
        }
    }
    changed + &text[done..]
}

/// Why a file cannot be installed as JSON. The text continues a sentence that begins with its name.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("is not JSON: {0}")]
    Syntax(serde_json::Error),
    #[error("is JSON that would be longer than it came")]
    Longer,
}

/// JSON that names libraries (Vulkan and EGL ICDs, layers), with `locate` applied to the name of each.
///
/// The result is indented for people. If that makes it longer than it was, it has no blanks instead. The new names do not
/// count as longer.
///
/// # Errors
/// When it is not JSON, or has numbers that are longer when they are written again.
pub fn library_json(text: &str, locate: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, JsonError> {
    let mut value: Value = serde_json::from_str(text).map_err(JsonError::Syntax)?;
    let mut longest = text.len() + 1; // A line end.
    relocate(&mut value, &mut |name| {
        let path = locate(name)?;
        longest += path.len().saturating_sub(name.len());
        Some(path)
    });
    // It must not grow: deeply nested JSON would be almost all indentation.
    let mut pretty = Bounded { text: Vec::new(), longest };
    if serde_json::to_writer_pretty(&mut pretty, &value).is_err() {
        pretty.text.clear();
        serde_json::to_writer(&mut pretty, &value).map_err(|_| JsonError::Longer)?;
    }
    pretty.text.push(b'\n');
    String::from_utf8(pretty.text).map_err(|_| JsonError::Longer)
}

/// Accepts a limited number of bytes.
struct Bounded {
    text: Vec<u8>,
    longest: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() >= self.longest {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn relocate(value: &mut Value, locate: &mut dyn FnMut(&str) -> Option<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(name) if key == "library_path" => {
                        if let Some(path) = locate(name) {
                            *name = path;
                        }
                    }
                    other => relocate(other, locate),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| relocate(item, locate)),
        _ => {}
    }
}

/// The D-Bus policy of licences on guests: nvidia-settings asks nvidia-gridd, which answers as `nvidia.grid.server`.
///
/// nvidia-settings also asks for the name `nvidia.grid.client`, but works without it: ctkgridlicense.c of 535 to 610 ignores a
/// refusal, and nobody sends anything to that name. nvidia-gridd runs as root. So only root may have both names, and every
/// user may ask.
pub const GRID_POLICY: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy user="root">
    <allow own="nvidia.grid.server"/>
    <allow own="nvidia.grid.client"/>
  </policy>
  <policy context="default">
    <allow send_destination="nvidia.grid.server"/>
  </policy>
</busconfig>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_redirected_program_keeps_its_length() {
        let mut program = b"a/usr/share/nvidia/vgpu/vgpuConfig.xml\0b".to_vec();
        assert_eq!(redirect_config(&mut program), 1);
        assert_eq!(program, b"a/etc/nvidia/vgpu/vgpuConfig.xml\0\0\0\0\0\0\0b");
    }

    #[test]
    fn programs_are_called_by_name_where_the_whole_path_is_theirs() {
        let text = "if [ -x /bin/ls ]; then /bin/ls /; /usr/bin/lspci; /bin/lsof; /sbin/lsmod; fi";
        let expected = "if [ -x ls ]; then ls /; /usr/bin/lspci; /bin/lsof; /sbin/lsmod; fi";
        assert_eq!(by_name(text, "/bin/ls", "ls"), expected);
    }

    #[test]
    fn the_shell_reads_a_path_as_one_word() {
        let text = "#!/bin/sh\n/old resume\n[ -x \"/old\" ] && /old \"$1\" || echo \"Usage: /old MODE\"\n";
        let expected = r#"#!/bin/sh
/my\ o\;ut/new resume
[ -x "/my o;ut/new" ] && /my\ o\;ut/new "$1" || echo "Usage: /my o;ut/new MODE"
"#;
        assert_eq!(by_path(text, "/old", "/my o;ut/new").unwrap(), expected);
        let plain = "/nix/store/x-y_1.0/new";
        assert_eq!(by_path(text, "/old", plain).unwrap(), text.replace("/old", plain));
        // One path for another is no harm. Many are.
        let long = format!("/{}", "x".repeat(4000));
        assert!(by_path(text, "/old", &long).is_some());
        assert_eq!(by_path(&"/old\n".repeat(1000), "/old", &long), None);
    }

    #[test]
    fn libraries_are_located_at_any_depth() {
        let text = r#"{
            "file_format_version": "1.0.0",
            "layers": [ { "library_path": "libGLX_nvidia.so.0", "name": "x" } ]
        }"#;
        let json = library_json(text, &mut |name| Some(format!("/lib/{name}"))).unwrap();
        assert!(json.contains("\"library_path\": \"/lib/libGLX_nvidia.so.0\""), "{json}");
        assert!(json.find("file_format_version") < json.find("layers"), "order is kept: {json}");
    }

    #[test]
    fn json_gets_no_longer_than_it_came() {
        let none = &mut |_: &str| None;
        let nested = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(library_json(&nested, none).unwrap(), format!("{nested}\n"));
        assert!(matches!(library_json("[1e15,1e15]", none), Err(JsonError::Longer)));
        // A number stays what it was.
        assert_eq!(library_json("[3.3333333333333334e+48]", none).unwrap(), "[3.3333333333333334e+48]\n");
        let named = library_json(r#"{"library_path":"a"}"#, &mut |_| Some("/lib/a".into())).unwrap();
        assert_eq!(named, "{\"library_path\":\"/lib/a\"}\n");
    }
}
