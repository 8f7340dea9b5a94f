//! Files of a driver that name other files: scripts, ICDs, and the path compiled into nvidia-vgpud.

use memchr::memmem;
use serde_json::Value;

use crate::install::Options;

/// Where nvidia-vgpud looks for the profiles, as NVIDIA compiled it, and where NixOS has them.
const COMPILED_CONFIG: &[u8] = b"/usr/share/nvidia/vgpu/vgpuConfig.xml";
const NIXOS_CONFIG: &[u8] = b"/etc/nvidia/vgpu/vgpuConfig.xml";

/// Redirects nvidia-vgpud to `/etc/nvidia/vgpu/vgpuConfig.xml`: the shorter path is padded with NUL, so that the
/// file keeps its length. Returns how often the path was there.
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

/// A script for NixOS: its shell, PATH and the places of other programs.
pub fn script(text: &str, options: &Options) -> String {
    let mut text = text
        .replace("/usr/lib/nvidia/sriov-manage", &format!("{}/bin/sriov-manage", options.outputs.bin.display()))
        .replace("/usr/bin/nvidia-sleep.sh", &format!("{}/bin/nvidia-sleep.sh", options.outputs.out.display()));
    for (path, name) in [("/bin/grep", "grep"), ("/bin/ls", "ls")] {
        text = by_name(&text, path, name);
    }
    // nvidia-sleep.sh sets PATH to directories NixOS doesn't have.
    text = text.replace("\nPATH=\"/", "\nPATH=\"$PATH:/");
    let Some((first, rest)) = text.split_once('\n') else { return text };
    let first = match &options.shell {
        Some(shell) if first.starts_with("#!") => format!("#!{}", shell.display()),
        _ => first.to_owned(),
    };
    let tools: Vec<_> = options.tools.iter().map(|dir| dir.display().to_string()).collect();
    let path = if tools.is_empty() { String::new() } else { format!("PATH=\"{}:$PATH\"\n", tools.join(":")) };
    format!("{first}\n{path}{rest}")
}

/// Calls a program by its name alone; longer paths that contain `path` stay.
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

/// JSON that names libraries (Vulkan and EGL ICDs, layers), with `locate` applied to the name of each.
pub fn library_json(text: &str, locate: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    relocate(&mut value, locate);
    let mut text = serde_json::to_string_pretty(&value).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
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
/// nvidia-settings also wants to be called `nvidia.grid.client`, but goes on without (ctkgridlicense.c of 535 to 610 passes
/// over a refusal), and nobody sends anything to that name. So both names are for root, as whom nvidia-gridd runs, and no
/// other user can take them; everybody may ask.
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
    fn libraries_are_located_at_any_depth() {
        let text =
            r#"{"file_format_version": "1.0.0", "layers": [{"library_path": "libGLX_nvidia.so.0", "name": "x"}]}"#;
        let json = library_json(text, &mut |name| Some(format!("/lib/{name}"))).unwrap();
        assert!(json.contains("\"library_path\": \"/lib/libGLX_nvidia.so.0\""), "{json}");
        assert!(json.find("file_format_version") < json.find("layers"), "order is kept: {json}");
    }
}
