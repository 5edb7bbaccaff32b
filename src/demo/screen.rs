//! Draws lines in place on a terminal, rewriting only those that changed.
//!
//! The lines stand below whatever was printed before and stay there at the end. The cursor and the wrapping of long
//! lines are switched off meanwhile and restored on drop. Without a terminal there is no screen.

use std::fs::File;
use std::io::{IsTerminal, Write, stdout};
use std::process::{Command, Stdio};

use crate::demo::text::Line;

/// A terminal that is being drawn on.
#[derive(Debug)]
pub struct Screen {
    intro: Intro,
    /// Rows that the drawn lines need to be of use, and to be complete.
    rows_wanted: (usize, usize),
    drawn: Vec<String>,
    columns: usize,
    rows: usize,
    coloured: bool,
}

/// What is printed above the lines, again after the size changed.
#[derive(Clone, Debug)]
pub struct Intro {
    pub full: Vec<String>,
    /// For terminals that have no room for it, the fullest first.
    pub shorter: Vec<Vec<String>>,
}

/// Used when the terminal does not tell its size.
const COLUMNS_DEFAULT: usize = 100;
const ROWS_DEFAULT: usize = 30;

/// Cursor and wrapping (DEC private modes 25 and 7).
const ENTER: &str = "\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h";
/// Synchronised update (mode 2026): terminals that know it show a frame at once, others ignore it.
const FRAME_BEGIN: &str = "\x1b[?2026h";
const FRAME_END: &str = "\x1b[?2026l";
const CLEAR_LINE_REST: &str = "\x1b[K";
const CLEAR_SCREEN_REST: &str = "\x1b[J";
const CLEAR_SCREEN: &str = "\x1b[2J\x1b[H";

// === impl Screen ===

impl Screen {
    /// Prints the intro, in full if all lines have room beside it and otherwise as much as leaves room for those of use,
    /// and takes the terminal; `None` when standard output is no terminal that can be drawn on.
    pub fn open(intro: &Intro, rows_wanted: (usize, usize)) -> Option<Self> {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        if dumb || !stdout().is_terminal() {
            return None;
        }
        let (columns, rows) = size();
        let screen =
            Self { intro: intro.clone(), rows_wanted, drawn: Vec::new(), columns, rows, coloured: is_coloured() };
        write(&format!("{}{ENTER}", screen.intro_text()));
        Some(screen)
    }

    /// How many columns a line may take.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many lines there is room for: one row is for the cursor below them.
    pub fn rows(&self) -> usize {
        (self.rows - 1).saturating_sub(height(self.intro(), self.columns))
    }

    fn intro(&self) -> &[String] {
        let (min, max) = self.rows_wanted;
        let left = |wanted| (self.rows - 1).saturating_sub(wanted);
        self.intro.fitting(self.columns, left(max), left(min))
    }

    /// Replaces what was drawn before.
    pub fn draw(&mut self, lines: &[Line]) {
        let shown = lines.iter().take(self.rows());
        let rendered: Vec<String> = shown.map(|line| line.render(self.columns, self.coloured)).collect();
        write(&update(&self.drawn, &rendered));
        self.drawn = rendered;
    }

    /// Begins anew on a terminal whose size may have changed.
    pub fn resize(&mut self) {
        (self.columns, self.rows) = size();
        self.drawn.clear();
        write(&format!("{LEAVE}{CLEAR_SCREEN}{}{ENTER}", self.intro_text()));
    }

    fn intro_text(&self) -> String {
        self.intro().iter().map(|line| format!("{line}\r\n")).collect()
    }
}

// === impl Intro ===

impl Intro {
    /// The full version if it takes at most `rows_full`, or else the fullest that takes at most `rows_max`, or nothing.
    fn fitting(&self, columns: usize, rows_full: usize, rows_max: usize) -> &[String] {
        if height(&self.full, columns) <= rows_full {
            return &self.full;
        }
        let fitting = self.shorter.iter().find(|version| height(version, columns) <= rows_max);
        fitting.map_or(&[], Vec::as_slice)
    }
}

/// Rows that lines take on a terminal that wraps them.
fn height(lines: &[String], columns: usize) -> usize {
    lines.iter().map(|line| line.chars().count().div_ceil(columns).max(1)).sum()
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may have echoed ^C at the cursor.
        write(&format!("\r{CLEAR_LINE_REST}{LEAVE}"));
    }
}

/// The sequence that turns the lines drawn before into the new ones, with the cursor below them before and after.
fn update(old: &[String], new: &[String]) -> String {
    let mut out = String::from(FRAME_BEGIN);
    if !old.is_empty() {
        out.push_str(&format!("\x1b[{}A", old.len()));
    }
    out.push('\r');
    for (i, line) in new.iter().enumerate() {
        if old.get(i) != Some(line) {
            // Before the line: behind one that ends in the last column it would take that column's character.
            out.push_str(CLEAR_LINE_REST);
            out.push_str(line);
        }
        out.push_str("\r\n");
    }
    if new.len() < old.len() {
        out.push_str(CLEAR_SCREEN_REST);
    }
    out.push_str(FRAME_END);
    out
}

/// A terminal that is gone is no reason to stop: the demo ends by itself.
fn write(text: &str) {
    let mut out = stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// See <https://no-color.org>: any value that is not empty switches colours off.
fn is_coloured() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns and rows of the controlling terminal, from `stty`, which every Unix has.
fn size() -> (usize, usize) {
    let told = || {
        let terminal = File::open("/dev/tty").ok()?;
        let output = Command::new("stty").arg("size").stdin(terminal).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (rows, columns) = text.trim().split_once(' ')?;
        Some((columns.parse().ok().filter(|columns| *columns > 0)?, rows.parse().ok().filter(|rows| *rows > 0)?))
    };
    told().unwrap_or((COLUMNS_DEFAULT, ROWS_DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &[&str], new: &[&str], want: &str) {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let got = update(&lines(old), &lines(new));
        assert_eq!(got.strip_prefix(FRAME_BEGIN).and_then(|got| got.strip_suffix(FRAME_END)), Some(want));
    }

    #[test]
    fn only_changed_lines_are_written_again() {
        check(&[], &["a", "b"], "\r\x1b[Ka\r\n\x1b[Kb\r\n");
        check(&["a", "b"], &["a", "c"], "\x1b[2A\r\r\n\x1b[Kc\r\n");
    }

    #[test]
    fn the_intro_is_as_full_as_the_terminal_allows() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let intro = Intro { full: lines(&["0123456789", "", "01234"]), shorter: vec![lines(&["0123456789"])] };
        assert_eq!(intro.fitting(10, 3, 9), intro.full);
        assert_eq!(intro.fitting(9, 3, 9), intro.shorter[0]);
        assert!(intro.fitting(5, 1, 1).is_empty());
    }

    #[test]
    fn a_shorter_frame_leaves_nothing_behind() {
        check(&["a", "b"], &["a"], "\x1b[2A\r\r\n\x1b[J");
    }
}
