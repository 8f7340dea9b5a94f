//! Shows text from outside on a terminal or in a log: names in archives, words of a manifest, messages of other programs.
//!
//! Such a text must not move the cursor, print a line of its own, or turn the order of letters around
//! (Unicode TR 36, "Bidirectional Text Spoofing"), and it must not fill the screen.

/// The longest name that is not cut, in characters.
const LONGEST_NAME: usize = 200;

/// The longest message that is not cut, in characters.
const LONGEST_MESSAGE: usize = 16_384;

/// Whether a character is shown as its number.
///
/// Control characters, line ends of Unicode, and the marks that change the direction of text.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name or word from outside: on one line, at most 200 characters long.
pub fn name(text: &str) -> String {
    escape(text, LONGEST_NAME, |_, c| is_unsafe(c))
}

/// A whole message. Line ends with two spaces after them are its own, and stay. All other line ends came from outside.
pub(crate) fn message(text: &str) -> String {
    escape(text, LONGEST_MESSAGE, |rest, c| match c {
        '\n' => !rest.starts_with("\n  "),
        '\t' => false,
        c => is_unsafe(c),
    })
}

/// Writes the characters that `is_escaped` picks as `\u{1b}`, and cuts a text that is too long.
fn escape(text: &str, longest: usize, is_escaped: impl Fn(&str, char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len().min(longest));
    for (number, (at, c)) in text.char_indices().enumerate() {
        if number == longest {
            return shown + "…";
        }
        if is_escaped(&text[at..], c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_on_its_line() {
        assert_eq!(name("libcuda.so"), "libcuda.so");
        assert_eq!(name("Müller – 日本"), "Müller – 日本");
        assert_eq!(name("a\nhelp: run this\r\x1b[2J"), r"a\nhelp: run this\r\u{1b}[2J");
        assert_eq!(name("txt.\u{202e}nur"), r"txt.\u{202e}nur");
        assert_eq!(name("\u{85}\u{2028}\u{2069}\u{7f}"), r"\u{85}\u{2028}\u{2069}\u{7f}");
        assert_eq!(name(&"x".repeat(9000)).chars().count(), 201);
    }

    #[test]
    fn a_message_keeps_its_own_lines_alone() {
        assert_eq!(message("last lines:\n  one\n  two"), "last lines:\n  one\n  two");
        assert_eq!(message("file a\nhelp: do that\tnow"), "file a\\nhelp: do that\tnow");
    }
}
