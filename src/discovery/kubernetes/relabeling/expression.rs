//! Regular expressions of rules: text in RE2's syntax → an expression that must match a whole value.
//!
//! Where the syntax of the crate differs, the text is rewritten: there `\d` stands for the digits of all scripts, a
//! brace must open a repetition, and a bracket within brackets opens a class.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Captures, Regex, RegexBuilder};

/// An anchored expression.
#[derive(Clone, Debug)]
pub(super) struct Expression(Regex);

/// Rewrites an expression.
struct Rewriter<'a> {
    chars: Peekable<Chars<'a>>,
    written: String,
}

/// Bytes a compiled expression may take, and once more what it remembers while it matches: whoever may write monitors
/// writes hundreds of them. Two hundred names of pods fit, a class repeated three hundred times does not.
const SIZE_MAX: usize = 1 << 18;

// === impl Expression ===

impl Expression {
    /// # Errors
    /// Why the expression cannot be used.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let rewritten = Rewriter { chars: text.chars().peekable(), written: String::new() }.rewrite();
        let build = |pattern: &str| {
            let mut builder = RegexBuilder::new(pattern);
            let built = builder.dot_matches_new_line(true).size_limit(SIZE_MAX).dfa_size_limit(SIZE_MAX).build();
            built.map_err(|error| format!("regex: {text:?} cannot be used: {}", reason(&error)))
        };
        // Alone first: a text such as `a)(b` must not use our group.
        build(&rewritten)?;
        build(&format!("^(?:{rewritten})$")).map(Self)
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        self.0.is_match(value)
    }

    pub(super) fn captures<'v>(&self, value: &'v str) -> Option<Captures<'v>> {
        self.0.captures(value)
    }
}

fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("compiled, it takes more than {limit} bytes"),
        // The message shows the pattern over several lines and ends with `error: …`.
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or("");
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

// === impl Rewriter ===

impl Rewriter<'_> {
    fn rewrite(mut self) -> String {
        while let Some(c) = self.chars.next() {
            match c {
                '\\' => self.escape(false),
                '[' => self.class(),
                '{' if !self.opens_repetition() => self.written.push_str("\\{"),
                c => self.written.push(c),
            }
        }
        self.written
    }

    /// What follows a backslash; within brackets a class has no brackets of its own.
    fn escape(&mut self, in_class: bool) {
        let Some(c) = self.chars.next() else {
            self.written.push('\\');
            return;
        };
        match c {
            'd' | 'w' | 's' if in_class => self.written.push_str(ascii(c)),
            'd' | 'w' | 's' => self.push(&["[", ascii(c), "]"]),
            'D' | 'W' | 'S' => self.push(&["[^", ascii(c.to_ascii_lowercase()), "]"]),
            'b' | 'B' => self.push(&["(?-u:\\", if c == 'b' { "b" } else { "B" }, ")"]),
            'Q' => self.quotation(),
            // The crate takes them for the edges of a word.
            '<' | '>' => self.written.push(c),
            c => self.written.extend(['\\', c]),
        }
    }

    fn push(&mut self, parts: &[&str]) {
        self.written.extend(parts.iter().copied());
    }

    /// `\Q` up to `\E` or the end stands for itself.
    fn quotation(&mut self) {
        let rest: String = self.chars.clone().collect();
        let (quoted, skipped) = match rest.split_once("\\E") {
            Some((quoted, _)) => (quoted, 2),
            None => (rest.as_str(), 0),
        };
        self.written.push_str(&regex::escape(quoted));
        self.chars.by_ref().take(quoted.chars().count() + skipped).for_each(drop);
    }

    /// Between brackets.
    fn class(&mut self) {
        self.written.push('[');
        if self.chars.next_if_eq(&'^').is_some() {
            self.written.push('^');
        }
        let mut first = true;
        while let Some(c) = self.chars.next() {
            match c {
                ']' if !first => return self.written.push(']'),
                '\\' => self.escape(true),
                '[' if self.chars.peek() == Some(&':') => self.named_class(),
                // Alone they are literals in RE2, and twice or nested they work on sets in the crate.
                '[' | ']' | '&' | '~' => self.written.extend(['\\', c]),
                '-' if first => self.written.push_str("\\-"),
                '-' if self.chars.next_if_eq(&'-').is_some() => self.written.push_str("-\\-"),
                c => self.written.push(c),
            }
            first = false;
        }
    }

    /// `[:alpha:]`; what only begins like one is a literal.
    fn named_class(&mut self) {
        let rest: String = self.chars.clone().take_while(|c| *c != ']').collect();
        if !rest.ends_with(':') || rest.len() < 2 {
            return self.written.push_str("\\[");
        }
        self.push(&["[", &rest, "]"]);
        self.chars.by_ref().take(rest.chars().count() + 1).for_each(drop);
    }

    /// Whether a brace that was just read begins `{2}`, `{2,}` or `{2,3}`.
    fn opens_repetition(&self) -> bool {
        let rest: String = self.chars.clone().take_while(|c| c.is_ascii_digit() || matches!(c, ',' | '}')).collect();
        let Some((inner, _)) = rest.split_once('}') else { return false };
        let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
        !least.is_empty() && !most.contains(',')
    }
}

/// The ASCII characters of `\d`, `\w` and `\s` as they stand between brackets (RE2's syntax, "Perl character classes").
fn ascii(class: char) -> &'static str {
    match class {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        _ => "\\t\\n\\f\\r ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, matching: &[&str], others: &[&str]) {
        let expression = Expression::read(text).unwrap_or_else(|error| panic!("{error}"));
        for (values, matches) in [(matching, true), (others, false)] {
            for value in values {
                assert_eq!(expression.matches(value), matches, "{text} on {value:?}");
            }
        }
    }

    #[test]
    fn classes_hold_ascii_alone() {
        check(r"\d+", &["12"], &["١", "a", ""]);
        check(r"[\d.]+", &["1.2"], &["١"]);
        check(r"\w\W", &["a-", "aé"], &["ab", "é-"]);
        check(r"[^\s]", &["a", "\u{a0}"], &[" ", "\t"]);
        check(r"[\W]", &["é", "-"], &["a"]);
        check(r"a\b.*", &["a", "aé"], &["ab"]);
    }

    #[test]
    fn what_the_crate_reads_otherwise_is_rewritten() {
        check(r"{a}", &["{a}"], &["a"]);
        check(r"a{2}b{1,}c{,2}", &["aabbc{,2}"], &["aabbc"]);
        check(r"[[]a", &["[a"], &["a"]);
        check(r"[]a]", &["]", "a"], &["["]);
        check(r"[^]a]", &["b"], &["]", "a"]);
        check(r"[a&&b]", &["&", "a", "b"], &["c"]);
        check(r"[+--]", &["+", ",", "-"], &["."]);
        check(r"[--/]", &["-", ".", "/"], &["0"]);
        check(r"[[:alpha:]_]+", &["a_"], &["1"]);
        check(r"\Qa.b\E.", &["a.bc"], &["axbc"]);
        check(r"\<a\>", &["<a>"], &["a"]);
        check(r"a.b", &["a\nb"], &[]);
    }

    #[test]
    fn an_expression_of_any_size_is_refused_in_one_sentence() {
        let error = Expression::read(r"(\w{500}){500}").expect_err("too large");
        assert!(error.ends_with("cannot be used: compiled, it takes more than 262144 bytes"), "{error}");
        assert!(Expression::read(r"(.{100}){3}").is_err());
        let names: Vec<_> = (0..200).map(|number| format!("checkout-worker-{number:03}-5d4f9c7b8d")).collect();
        check(&names.join("|"), &["checkout-worker-199-5d4f9c7b8d"], &["checkout-worker-200-5d4f9c7b8d"]);
        assert!(Expression::read("\\").is_err() && Expression::read("[").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"[\[\]{}\\^&:~()QEdwab<,1é-]{0,12}") {
            let _ = Expression::read(&text).map(|expression| expression.matches("a1"));
        }
    }
}
