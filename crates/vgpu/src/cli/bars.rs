//! Bars drawn to scale: what a GPU's memory is cut into.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Color, Style};
use vgpu_base::shown;

/// Width of a whole bar, in characters.
const WIDTH: u64 = 60;

/// Backgrounds for black text, used one after the other.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Green,
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Magenta,
    AnsiColor::BrightBlue,
    AnsiColor::BrightRed,
];

/// A piece of a bar.
pub struct Piece<'a> {
    /// Written into the piece, as far as there is room.
    pub label: &'a str,
    /// In the same unit as the whole bar.
    pub size: u64,
}

/// A bar of `whole`: its pieces, each in its own colour, then dots for the rest. Brackets show the pieces where there are
/// no colours.
pub fn bar(pieces: &[Piece], whole: u64) -> String {
    let at = |offset: u64| (u128::from(offset.min(whole)) * u128::from(WIDTH) / u128::from(whole.max(1))) as usize;
    let mut text = String::new();
    let mut offset = 0u64;
    for (number, piece) in pieces.iter().enumerate() {
        let (start, end) = (at(offset), at(offset.saturating_add(piece.size)));
        offset = offset.saturating_add(piece.size);
        let style = Style::new()
            .fg_color(Some(Color::Ansi(AnsiColor::Black)))
            .bg_color(Some(Color::Ansi(COLOURS[number % COLOURS.len()])));
        let _ = write!(text, "{style}{}{style:#}", cell(&shown::name(piece.label), end - start));
    }
    text + &"·".repeat(WIDTH as usize - at(offset))
}

/// A piece of a bar, `width` characters wide: `[office ]`, `[]`, `|`.
fn cell(label: &str, width: usize) -> String {
    match width {
        0 => String::new(),
        1 => "|".to_owned(),
        _ => {
            let room = width - 2;
            let label: String = label.chars().take(room).collect();
            format!("[{label:room$}]")
        }
    }
}

/// Mebibytes in a unit that is easy to read: 512 MiB, 48 GiB.
pub fn mib(size: u64) -> String {
    if size >= 1024 && size.is_multiple_of(1024) {
        format!("{} GiB", size / 1024)
    } else if size >= 10240 {
        format!("{:.1} GiB", size as f64 / 1024.0)
    } else {
        format!("{size} MiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_to_scale() {
        let piece = |label, size| Piece { label, size };
        let plain = |text: &str| anstream::adapter::strip_str(text).to_string();
        let drawn = plain(&bar(&[piece("office", 8), piece("a very long name indeed", 8), piece("x", 1)], 48));
        assert_eq!(drawn.chars().count(), WIDTH as usize);
        assert_eq!(drawn, format!("[office  ][a very l]|{}", "·".repeat(39)));
        assert_eq!(plain(&bar(&[], 0)), "·".repeat(60));
        assert_eq!(plain(&bar(&[piece("a", u64::MAX)], 1)).chars().count(), 60);
        assert_eq!((mib(512), mib(49152), mib(12000)), ("512 MiB".into(), "48 GiB".into(), "11.7 GiB".into()));
    }
}
