//! Writes all checks as tables of the manual. docs/troubleshooting.md has them between two marks.

use vgpu_driver::Role;

use super::checks;
use crate::license::failures::FAILURES;

/// Tables in Markdown: the checks of hosts and guests, one table per group, and the messages of nvidia-gridd.
pub fn table() -> String {
    let mut text = String::new();
    for (role, title) in [(Role::Host, "On hosts"), (Role::Guest, "In guests")] {
        let mut group = None;
        for check in checks::of(role) {
            if group != Some(check.group) {
                group = Some(check.group);
                text.push_str(&format!("\n#### {title}: {}\n\n", check.group));
                text.push_str("| check | question | what you see | what to do |\n|---|---|---|---|\n");
            }
            let mut fix = cell(check.fix.elsewhere);
            if !check.fix.nixos.is_empty() {
                fix = format!("NixOS: {}. Elsewhere: {fix}", cell(check.fix.nixos));
            }
            let (question, symptom) = (cell(check.question), cell(check.symptom));
            text.push_str(&format!("| `{}` | {question} | {symptom} | {fix} |\n", check.id));
        }
    }
    text.push_str(
        "\n#### What nvidia-gridd says\n\nThe check `licence-messages` and `vgpu license status` know these.\n\n",
    );
    text.push_str("| name | why | what to do |\n|---|---|---|\n");
    for failure in FAILURES {
        text.push_str(&format!("| `{}` | {} | {} |\n", failure.id, cell(failure.cause), cell(failure.help)));
    }
    text
}

/// Any text, escaped for a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<").replace('\n', " ")
}
