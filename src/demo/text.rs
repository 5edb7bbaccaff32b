//! Styled text of known width: spans that are cut and padded before any escape sequence is added.
//!
//! Every character used here is one column wide.

/// A line of styled spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(String, Style)>);

/// How a span looks where colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Accent,
    Good,
    Warn,
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

// === impl Line ===

impl Line {
    /// Adds text as it is.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>, style: Style) -> Self {
        self.0.push((text.into(), style));
        self
    }

    /// Adds text that takes exactly `width` columns, and a blank after it.
    #[must_use]
    pub fn cell(self, text: &str, width: usize, align: Align, style: Style) -> Self {
        let cut = cut(text, width);
        let padded = match align {
            Align::Left => format!("{cut:<width$} "),
            Align::Right => format!("{cut:>width$} "),
        };
        self.text(padded, style)
    }

    /// The line in at most `width` columns, with escape sequences if `coloured`.
    pub fn render(&self, width: usize, coloured: bool) -> String {
        let mut left = width;
        let mut out = String::new();
        let last = self.0.iter().rposition(|(text, _)| !text.trim_end().is_empty());
        for (i, (text, style)) in self.0.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
            let text = if Some(i) == last { text.trim_end() } else { text };
            let shown = cut(text, left);
            left -= shown.chars().count();
            match style.code().filter(|_| coloured) {
                Some(code) => out.push_str(&format!("\x1b[{code}m{shown}\x1b[0m")),
                None => out.push_str(&shown),
            }
        }
        out
    }
}

// === impl Style ===

impl Style {
    /// The parameter of the "select graphic rendition" sequence (ECMA-48).
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Dim => Some("2"),
            Self::Accent => Some("36"),
            Self::Good => Some("32"),
            Self::Warn => Some("33"),
            Self::Bad => Some("31"),
        }
    }
}

/// Bars for the last `width` values, scaled so that `top` or the largest value is a full bar; a blank where there is
/// no value.
pub fn sparkline(values: impl DoubleEndedIterator<Item = Option<f64>>, width: usize, top: f64) -> String {
    let mut shown: Vec<Option<f64>> = values.rev().take(width).collect();
    shown.reverse();
    let top = shown.iter().flatten().copied().fold(top, f64::max);
    let bar = |value: f64| BARS[((value / top * 7.0).round().max(0.0) as usize).min(7)];
    shown.iter().map(|value| value.map_or(' ', bar)).collect()
}

/// A number in at most six columns.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{value:.1e}"),
        size if size >= 100.0 || (size >= 10.0 && value.fract() == 0.0) => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// Words in lines of at most `width` columns; a longer word gets a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_never_exceed_the_width() {
        let line =
            Line::default().cell("agents", 8, Align::Left, Style::Bold).cell("12", 4, Align::Right, Style::Plain);
        assert_eq!(line.render(80, false), "agents     12");
        assert_eq!(line.render(10, false), "agents   …");
        assert_eq!(line.render(0, false), "");
        assert_eq!(line.render(80, true), "\x1b[1magents   \x1b[0m  12");
    }

    #[test]
    fn long_cells_are_cut() {
        assert_eq!(Line::default().cell("decisions", 5, Align::Left, Style::Plain).render(9, false), "deci…");
    }

    #[test]
    fn sentences_wrap_between_words() {
        assert_eq!(wrap("the queue is empty", 9), ["the queue", "is empty"]);
        assert_eq!(wrap("the queue", 80), ["the queue"]);
    }

    #[test]
    fn a_sparkline_shows_the_newest_values_and_gaps() {
        let values = [Some(9.0), Some(0.0), None, Some(5.0), Some(10.0)];
        assert_eq!(sparkline(values.into_iter(), 4, 1.0), "▁ ▅█");
        assert_eq!(sparkline(values[1..2].iter().copied(), 4, 10.0), "▁");
        assert_eq!(sparkline([Some(1.0)].into_iter(), 4, 10.0), "▂");
    }

    #[test]
    fn numbers_are_short() {
        let check = |value, want: &str| assert_eq!(number(value), want);
        check(0.0, "0");
        check(0.1234, "0.12");
        check(3.0, "3");
        check(42.04, "42.0");
        check(123.4, "123");
        check(12_345_678.0, "1.2e7");
    }
}
