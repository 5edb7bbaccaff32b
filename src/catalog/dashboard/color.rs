//! What colours mean. The same thing has the same colour in every panel, so that nobody reads a legend twice.

/// A meaning; on the screen a colour that Grafana's dark and light theme both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// As it should be.
    Good,
    /// Somebody should look.
    Warning,
    /// Somebody should act.
    Critical,
    /// What is measured, neither good nor bad.
    Measured,
    /// Like what is measured, and less of it: the median beside the tail.
    Faint,
    /// What is wanted: a target, desired replicas; the tail of a distribution.
    Wanted,
    /// What bounds it, and what is no longer or not yet: behind the rest.
    Bound,
}

/// How one of several series of a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stroke {
    pub color: Color,
    pub is_dashed: bool,
}

/// Words that legends are written with.
const WORDS: [(&str, Stroke); 21] = [
    ("available", solid(Color::Good)),
    ("success", solid(Color::Good)),
    ("failure", solid(Color::Critical)),
    ("errors", solid(Color::Critical)),
    ("current", solid(Color::Measured)),
    ("value", solid(Color::Measured)),
    ("requests", solid(Color::Measured)),
    ("seen", solid(Color::Faint)),
    ("desired", solid(Color::Wanted)),
    ("target", dashed(Color::Wanted)),
    ("minimum", dashed(Color::Bound)),
    ("maximum", dashed(Color::Bound)),
    ("limit", dashed(Color::Bound)),
    ("p50", solid(Color::Faint)),
    ("p95", solid(Color::Measured)),
    ("p99", solid(Color::Wanted)),
    ("1 hour", solid(Color::Measured)),
    ("6 hours", solid(Color::Wanted)),
    ("above 2 s", solid(Color::Measured)),
    ("above 5 s", solid(Color::Wanted)),
    ("missing", solid(Color::Warning)),
];

/// Labels whose values say how something went: label, values as a regular expression, how they are drawn.
const VALUES: [(&str, &str, Stroke); 25] = [
    ("code", "[123]..", solid(Color::Good)),
    ("code", "4..", solid(Color::Warning)),
    ("code", "5..", solid(Color::Critical)),
    ("result", "success|taken_up|done|allowed|answered|hit", solid(Color::Good)),
    ("result", "masters|health", solid(Color::Faint)),
    ("result", "denied|conflict|miss", solid(Color::Warning)),
    ("result", "failure|failed|refused|undecided", solid(Color::Critical)),
    ("result", "front_proxy", solid(Color::Good)),
    ("result", "certificate|token", solid(Color::Measured)),
    ("result", "anonymous", solid(Color::Bound)),
    ("result", "no_.*|.*_refused|.*_malformed|not_text", solid(Color::Warning)),
    ("result", "token_not_reviewed", solid(Color::Critical)),
    ("state", "fresh|ok", solid(Color::Good)),
    ("state", "failing|degraded", solid(Color::Warning)),
    ("state", "stale|not_ready", solid(Color::Critical)),
    ("state", "new", solid(Color::Bound)),
    ("verb", "get", solid(Color::Measured)),
    ("verb", "list", solid(Color::Wanted)),
    ("client", "front_proxy", solid(Color::Good)),
    ("client", "known", solid(Color::Measured)),
    ("client", "stranger", solid(Color::Warning)),
    ("outcome", "success|approved|accepted", solid(Color::Good)),
    ("outcome", "escalated|deferred", solid(Color::Warning)),
    ("outcome", "rejected|declined", solid(Color::Measured)),
    ("outcome", "failure|failed|error", solid(Color::Critical)),
];

const fn solid(color: Color) -> Stroke {
    Stroke { color, is_dashed: false }
}

const fn dashed(color: Color) -> Stroke {
    Stroke { color, is_dashed: true }
}

// === impl Color ===

impl Color {
    /// As Grafana calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "green",
            Self::Warning => "orange",
            Self::Critical => "red",
            Self::Measured => "blue",
            Self::Faint => "light-blue",
            Self::Wanted => "purple",
            Self::Bound => "text",
        }
    }
}

/// How series with this legend are drawn, each with a regular expression of their names. A legend ends in a word that has a
/// meaning, or it is a label whose values have one.
pub(super) fn strokes(legend: &str) -> Vec<(String, Stroke)> {
    let word = |&&(word, _): &&(&str, Stroke)| legend == word || legend.ends_with(&format!(" {word}"));
    if let Some((word, stroke)) = WORDS.iter().find(word) {
        return vec![(format!("/^(.* )?{word}$/"), *stroke)];
    }
    let of_label = VALUES.iter().filter(|(label, ..)| legend == format!("{{{{{label}}}}}"));
    of_label.map(|(_, values, stroke)| (format!("/^({values})$/"), *stroke)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_at_the_end_of_a_legend_has_one_color_everywhere() {
        assert_eq!(strokes("desired"), [("/^(.* )?desired$/".to_owned(), solid(Color::Wanted))]);
        assert_eq!(strokes("{{metric}} target"), [("/^(.* )?target$/".to_owned(), dashed(Color::Wanted))]);
        assert_eq!(strokes("{{metric}} targets"), []);
    }

    #[test]
    fn values_of_a_label_that_say_how_it_went_are_colored() {
        let colors: Vec<_> = strokes("{{code}}").into_iter().map(|(values, stroke)| (values, stroke.color)).collect();
        let expected = [("/^([123]..)$/", Color::Good), ("/^(4..)$/", Color::Warning), ("/^(5..)$/", Color::Critical)];
        assert_eq!(colors, expected.map(|(values, color)| (values.to_owned(), color)));
        assert_eq!(strokes("{{queue}}"), []);
    }

    #[test]
    fn no_word_has_two_meanings() {
        let mut words: Vec<_> = WORDS.iter().map(|(word, _)| word).collect();
        words.sort_unstable();
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "{words:?}");
    }
}
