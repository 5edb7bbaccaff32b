//! What had to be left out of a list from elsewhere, in sentences: few, short, and each on one line.

use std::error::Error;
use std::fmt;

use crate::model::excerpt;

/// Sentences about what was left out. The first are kept, the others counted: a list from elsewhere can be wrong in
/// a million places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Omissions {
    told: Vec<String>,
    untold: usize,
}

/// Sentences that are kept: enough to see what is wrong, and few enough for a status page.
const TOLD_MAX: usize = 20;

// === impl Omissions ===

impl Omissions {
    pub fn push(&mut self, sentence: impl fmt::Display) {
        if self.told.len() < TOLD_MAX {
            self.told.push(one_line(&sentence));
        } else {
            self.untold += 1;
        }
    }

    /// Takes over those of a part of the list, each with the name of the part.
    pub fn extend(&mut self, part: impl fmt::Display, of_part: &Self) {
        of_part.told.iter().for_each(|sentence| self.push(format_args!("{part}: {sentence}")));
        self.untold += of_part.untold;
    }

    /// Takes over those of a part of the list whose sentences name their place themselves.
    pub fn append(&mut self, of_part: &Self) {
        of_part.told.iter().for_each(|sentence| self.push(sentence));
        self.untold += of_part.untold;
    }

    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// The sentences, and how many more there are.
    pub fn lines(&self) -> Vec<String> {
        let more = (self.untold > 0).then(|| format!("and {} more", self.untold));
        self.told.iter().cloned().chain(more).collect()
    }
}

/// An error with its causes on one line.
pub fn with_causes(error: &dyn Error) -> String {
    one_line(&told(error))
}

/// An error with its causes, on as many lines as it has; causes that the text has already are left out.
pub fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// The beginning of a text from elsewhere, with control characters escaped, so that it can neither fill a log nor forge
/// a line of it.
pub fn one_line(text: &impl fmt::Display) -> String {
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let escaped = excerpt(text).chars().fold(String::new(), |mut line, c| {
        if is_break(c) {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
        line
    });
    excerpt(&escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_twenty_are_told_and_the_others_counted() {
        let mut part = Omissions::default();
        (0..25).for_each(|i| part.push(i));
        let mut all = Omissions::default();
        all.push("first");
        all.extend("a.json", &part);
        let lines = all.lines();
        assert_eq!((lines.len(), lines[1].as_str(), lines[20].as_str()), (21, "a.json: 0", "and 6 more"));
    }

    #[test]
    fn a_sentence_is_short_and_on_one_line() {
        assert_eq!(one_line(&"a\nERROR b\u{1b}[0m\u{2028}é"), "a\\nERROR b\\u{1b}[0m\\u{2028}é");
        let long = one_line(&"é".repeat(400));
        assert!(long.len() <= 303 && long.ends_with("é…"), "{long}");
    }
}
