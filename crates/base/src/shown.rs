//! Shows text from outside on a terminal or in a log: names in archives, words of a manifest, messages of other programs.
//!
//! Such a text must not move the cursor, print a line of its own, or turn the order of letters around
//! (Unicode TR 36, "Bidirectional Text Spoofing"), and it must not fill the screen.

/// The longest name that is not cut, in characters.
const LONGEST_NAME: usize = 200;

/// The longest line that is not cut, in characters.
const LONGEST_LINE: usize = 2000;

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

/// A line from outside, of a journal or of a certificate: at most 2000 characters long.
pub fn line(text: &str) -> String {
    escape(text, LONGEST_LINE, |_, c| is_unsafe(c))
}

/// Many lines from outside, of an XML file: each at most 2000 characters long. They go into a result.
pub fn lines(text: &str) -> String {
    text.split('\n').map(|line| escape(line, LONGEST_LINE, |_, _| false)).collect::<Vec<_>>().join("\n")
}

/// The result of a command: lines, which may have colours. All else that could control a terminal came from outside.
pub(crate) fn result(text: &str) -> String {
    escape(text, usize::MAX, |rest, c| match c {
        '\n' | '\t' => false,
        '\r' => !rest.starts_with("\r\n"),
        '\x1b' => !is_colour(rest),
        c => is_unsafe(c),
    })
}

/// Whether a text begins with what sets a colour: `ESC [`, numbers, `m`.
fn is_colour(text: &str) -> bool {
    let numbers = text.strip_prefix("\x1b[").unwrap_or_default();
    let end = numbers.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
    end.starts_with('m')
}

/// JSON with `\u202e` in place of such characters. Readers get the same values.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_unsafe(c) {
            // None of them needs two numbers in UTF-16.
            shown.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A whole message, on one line: all line ends in it came from outside.
pub(crate) fn message(text: &str) -> String {
    escape(text, LONGEST_MESSAGE, |_, c| c != '\t' && is_unsafe(c))
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
    fn a_result_keeps_its_lines_and_colours() {
        let own = "\u{1b}[1;31mred\u{1b}[0m\tone\ntwo\r\nthree";
        assert_eq!(result(own), own);
        assert_eq!(result("\u{1b}[2J\rb\u{202e}\u{1b}]0;m"), r"\u{1b}[2J\rb\u{202e}\u{1b}]0;m");
        assert_eq!(line(&"x".repeat(9000)).chars().count(), 2001);
        assert_eq!(lines(&format!("a\tb\r\n{}\n", "x".repeat(9000))), format!("a\tb\r\n{}…\n", "x".repeat(2000)));
    }

    #[test]
    fn json_has_escapes_of_its_own() {
        assert_eq!(json("{\n  \"a\u{202e}\": \"\u{7f}\u{9b}ü\"\n}"), "{\n  \"a\\u202e\": \"\\u007f\\u009bü\"\n}");
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(message("file a\n  help: do that"), "file a\\n  help: do that");
        assert_eq!(message("file a\nhelp: do that\tnow"), "file a\\nhelp: do that\tnow");
    }
}
