//! Writes Nix: values, attribute sets and NixOS modules, in the format of RFC 166.
//!
//! Text from outside (file names, versions) goes in only as [`Expression::text`] or as a comment. Both are escaped here. All
//! other text is our own.

use std::fmt::Write;

use vgpu_base::shown::is_unsafe;

const INDENT: &str = "  ";

/// Words that can't stand as an attribute's name without quotes.
const KEYWORDS: [&str; 10] = ["assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"];

/// A piece of Nix.
#[derive(Clone, Debug)]
pub enum Expression {
    Text(String),
    Bool(bool),
    Null,
    /// Our own Nix, written as it is: a variable, `lib.fakeHash`.
    Code(String),
    Set(Vec<Line>),
    /// A function of our own, applied to an argument.
    Call(String, Box<Expression>),
}

/// A line of an attribute set.
#[derive(Clone, Debug)]
pub enum Line {
    /// `hardware.nvidia.open = false;`: the path of the attribute, its value, and a comment at the end of the line.
    Binding(String, Expression, Option<String>),
    /// `# …`
    Comment(String),
    Blank,
}

impl Expression {
    pub fn text(text: impl ToString) -> Expression {
        Expression::Text(text.to_string())
    }

    fn write(&self, out: &mut String, depth: usize) {
        match self {
            Expression::Text(text) => out.push_str(&quoted(text)),
            Expression::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Expression::Null => out.push_str("null"),
            Expression::Code(code) => out.push_str(code),
            Expression::Set(lines) if lines.is_empty() => out.push_str("{ }"),
            Expression::Set(lines) => {
                out.push_str("{\n");
                for line in lines {
                    line.write(out, depth + 1);
                }
                out.push_str(&INDENT.repeat(depth));
                out.push('}');
            }
            Expression::Call(function, argument) => {
                out.push_str(function);
                out.push(' ');
                argument.write(out, depth);
            }
        }
    }
}

impl Line {
    /// Binds an attribute by its dotted path. A part that is no identifier is quoted: `profiles.333` → `profiles."333"`.
    pub fn binding(path: &str, value: Expression) -> Line {
        Line::Binding(path.to_owned(), value, None)
    }

    /// The same with a comment at the end of the line.
    pub fn noted(path: &str, value: Expression, note: &str) -> Line {
        Line::Binding(path.to_owned(), value, Some(note.to_owned()))
    }

    fn write(&self, out: &mut String, depth: usize) {
        if !matches!(self, Line::Blank) {
            out.push_str(&INDENT.repeat(depth));
        }
        match self {
            Line::Binding(path, value, note) => {
                out.push_str(&path.split('.').map(attribute).collect::<Vec<_>>().join("."));
                out.push_str(" = ");
                value.write(out, depth);
                out.push(';');
                if let Some(note) = note {
                    let _ = write!(out, " # {}", one_line(note));
                }
            }
            Line::Comment(text) if text.is_empty() => out.push('#'),
            Line::Comment(text) => {
                let _ = write!(out, "# {}", one_line(text));
            }
            Line::Blank => {}
        }
        out.push('\n');
    }
}

/// A NixOS module: a header of comments, the arguments it needs, its lines. Ends with a line break.
pub fn module(header: &[String], arguments: &[&str], lines: Vec<Line>) -> String {
    let mut out = String::new();
    for text in header {
        Line::Comment(text.clone()).write(&mut out, 0);
    }
    out.push_str(&match arguments {
        [] => "{ ... }:\n".to_owned(),
        arguments => format!("{{ {}, ... }}:\n", arguments.join(", ")),
    });
    Expression::Set(lines).write(&mut out, 0);
    out.push('\n');
    out
}

/// A string literal that evaluates to `text`. NUL bytes, which Nix can't hold, are dropped.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().filter(|c| *c != '\0') {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '$' => out.push_str("\\$"), // `${` would interpolate
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"), // Nix reads a bare CR as a line break
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn attribute(name: &str) -> String {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '\''));
    if starts && identifier && !KEYWORDS.contains(&name) { name.to_owned() } else { quoted(name) }
}

/// A comment ends with its line. A line break in a file name must not end it, and no mark may show code as a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn modules_are_laid_out_as_people_write_them() {
        let lines = vec![
            Line::Comment("Which driver".to_owned()),
            Line::binding("hardware.nvidia.open", Expression::Bool(false)),
            Line::Blank,
            Line::binding(
                "hardware.nvidia.package",
                Expression::Call(
                    "nvidiaPackages.mkVgpuDriver".to_owned(),
                    Box::new(Expression::Set(vec![
                        Line::binding("version", Expression::text("550.163.02")),
                        Line::noted("sha256", Expression::Code("lib.fakeHash".to_owned()), "not known\nrm -rf /"),
                        Line::binding("vgpuPatcher", Expression::Null),
                    ])),
                ),
            ),
            Line::binding("overrides.333.if", Expression::Set(vec![])),
        ];
        insta::assert_snapshot!(module(&["Driver".to_owned()], &["config", "lib"], lines), @r#"
        # Driver
        { config, lib, ... }:
        {
          # Which driver
          hardware.nvidia.open = false;

          hardware.nvidia.package = nvidiaPackages.mkVgpuDriver {
            version = "550.163.02";
            sha256 = lib.fakeHash; # not known rm -rf /
            vgpuPatcher = null;
          };
          overrides."333"."if" = { };
        }
        "#);
    }

    #[test]
    fn nix_reads_back_every_string() {
        let text = "a \"quoted\" ${builtins.currentSystem} $${x} '' \\n \\ \n\t\r ü 🦀 $";
        let Ok(evaluated) =
            Command::new("nix-instantiate").args(["--eval", "--strict", "--json", "-E", &quoted(text)]).output()
        else {
            assert!(std::env::var_os("VGPU_REQUIRE_NIX").is_none(), "nix-instantiate is missing");
            eprintln!("skipped: nix-instantiate is not on PATH");
            return;
        };
        assert!(evaluated.status.success(), "{}", String::from_utf8_lossy(&evaluated.stderr));
        assert_eq!(serde_json::from_slice::<String>(&evaluated.stdout).unwrap(), text);
    }
}
