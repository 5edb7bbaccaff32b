//! Why something is not taken: where it is, and what is wrong with it.

use std::fmt::Display;
use std::io;

/// One line: a file, an archive or a registry, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Refusal {
    /// A path, within an archive or on the machine, or a reference of a registry; with a line or a name where there is one.
    pub place: String,
    pub what: String,
}

// === impl Refusal ===

impl Refusal {
    pub fn new(place: impl Display, what: impl Display) -> Self {
        // A text with lines of its own would look like several refusals.
        let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { place: printable(&place.to_string()), what: printable(&one_line(what.to_string())) }
    }

    /// For [`Result::map_err`] on what is read or written at a place.
    pub fn at(place: impl Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(place, error)
    }
}

/// A text of others as a terminal may show it: what would move its cursor, colour it or turn its letters around is written out.
pub fn printable(text: &str) -> String {
    let shown = |c: char| if is_shown(c) { c.to_string() } else { c.escape_debug().to_string() };
    text.chars().map(shown).collect()
}

/// Whether a terminal shows a text as it is.
pub fn is_printable(text: &str) -> bool {
    text.chars().all(is_shown)
}

/// What [`char::escape_debug`] would not write out, quotes and the like excepted.
fn is_shown(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_others_reaches_the_terminal_but_letters() {
        let refusal = Refusal::new("a\u{1b}[2Jb", "it is\n\u{1b}]0;x\u{7} \"odd\", ä \u{202e}cba");
        assert_eq!(refusal.to_string(), r#"a\u{1b}[2Jb: it is \u{1b}]0;x\u{7} "odd", ä \u{202e}cba"#);
    }
}
