//! Matchers in PromQL's notation: `queue!="dead_letter", code=~"5.."`, with or without braces.

use std::iter::Peekable;
use std::str::{CharIndices, FromStr};

use regex::{Regex, RegexBuilder};

use super::metric::{Matcher, Matchers, Test};
use super::name;

/// Bytes a compiled expression may take; a class repeated a thousand times is over it.
const REGEX_SIZE_MAX: usize = 1 << 20;

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

// === impl Matchers ===

impl FromStr for Matchers {
    type Err = String;

    /// # Errors
    /// A sentence that says what was expected, what was found and at which character.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, chars: text.char_indices().peekable() };
        let braces = reader.take('{');
        let mut matchers = Vec::new();
        while !reader.at_end(braces) {
            matchers.push(reader.matcher()?);
            if !reader.take(',') && !reader.at_end(braces) {
                return Err(reader.expected(if braces { ", or }" } else { "," }));
            }
        }
        if braces && !reader.take('}') {
            return Err(reader.expected("}"));
        }
        reader.skip_space();
        if reader.chars.peek().is_some() { Err(reader.expected("nothing more")) } else { Ok(Self(matchers)) }
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn matcher(&mut self) -> Result<Matcher, String> {
        let label = self.word();
        if label.is_empty() {
            return Err(self.expected("a label name"));
        }
        name::label(&label)?;
        let operator = self.operator()?;
        let value = self.quoted()?;
        let test = match operator {
            "=" => Test::Equal(value),
            "!=" => Test::NotEqual(value),
            "=~" => Test::Match(anchored(&value)?),
            _ => Test::NotMatch(anchored(&value)?),
        };
        Ok(Matcher { label, test })
    }

    fn word(&mut self) -> String {
        self.skip_space();
        let mut word = String::new();
        while let Some((_, c)) = self.chars.next_if(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | ':' | '.' | '-'))
        {
            word.push(c);
        }
        word
    }

    fn operator(&mut self) -> Result<&'static str, String> {
        self.skip_space();
        let rest = self.chars.peek().map_or("", |(at, _)| &self.text[*at..]);
        let Some(operator) = ["=~", "!~", "!=", "="].into_iter().find(|operator| rest.starts_with(operator)) else {
            return Err(self.expected("one of =, !=, =~, !~"));
        };
        self.chars.by_ref().take(operator.len()).for_each(drop);
        Ok(operator)
    }

    /// A string in double or single quotes with Go's escapes, or in backticks without any.
    fn quoted(&mut self) -> Result<String, String> {
        self.skip_space();
        let Some((_, quote)) = self.chars.next_if(|(_, c)| matches!(c, '"' | '\'' | '`')) else {
            return Err(self.expected("a value in quotes"));
        };
        let mut value = String::new();
        loop {
            match self.chars.next() {
                Some((_, c)) if c == quote => return Ok(value),
                Some((_, '\\')) if quote != '`' => value.push(self.escaped(quote)?),
                Some((_, c)) => value.push(c),
                None => return Err(self.expected(&format!("a closing {quote}"))),
            }
        }
    }

    fn escaped(&mut self, quote: char) -> Result<char, String> {
        let Some((_, c)) = self.chars.next() else {
            return Err(self.expected("a character after \\"));
        };
        match c {
            'n' => Ok('\n'),
            't' => Ok('\t'),
            'r' => Ok('\r'),
            '\\' => Ok('\\'),
            'x' => self.code(2),
            'u' => self.code(4),
            'U' => self.code(8),
            _ if c == quote => Ok(c),
            _ => {
                Err(format!("unknown escape \\{c} in a quoted value of {:?}; write \\\\{c} for a backslash", self.text))
            }
        }
    }

    fn code(&mut self, digits: usize) -> Result<char, String> {
        let hex: String = self.chars.by_ref().take(digits).map(|(_, c)| c).collect();
        let code = u32::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == digits);
        code.and_then(char::from_u32)
            .ok_or_else(|| self.expected(&format!("{digits} hexadecimal digits of a character")))
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        self.chars.next_if(|(_, c)| *c == wanted).is_some()
    }

    fn at_end(&mut self, braces: bool) -> bool {
        self.skip_space();
        self.chars.peek().is_none_or(|(_, c)| braces && *c == '}')
    }

    fn skip_space(&mut self) {
        while self.chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
    }

    fn expected(&mut self, what: &str) -> String {
        match self.chars.peek() {
            Some((at, c)) => {
                let at = self.text[..*at].chars().count() + 1;
                format!("expected {what} at character {at} of the matchers {:?}, found {c:?}", self.text)
            }
            None => format!("expected {what} at the end of the matchers {:?}", self.text),
        }
    }
}

/// Compiles an expression that must match the whole value, as in PromQL.
fn anchored(text: &str) -> Result<Regex, String> {
    let build = |pattern: &str| {
        // In PromQL `.` also stands for a line break.
        let built = RegexBuilder::new(pattern).dot_matches_new_line(true).size_limit(REGEX_SIZE_MAX).build();
        built.map_err(|error| format!("the regular expression {text:?} cannot be used: {}", reason(&error)))
    };
    // Alone first: a text such as `a)(b` must not use our group.
    build(text)?;
    build(&format!("^(?:{text})$"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    #[track_caller]
    fn check(text: &str, written: &str) {
        let matchers: Matchers = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(matchers.to_string(), written, "{text}");
        assert_eq!(written.parse(), Ok(matchers), "{text}: reads back");
    }

    #[test]
    fn matchers_are_read_with_and_without_braces() {
        check("", "{}");
        check("{}", "{}");
        check(r#"queue!="dead_letter""#, r#"{queue!="dead_letter"}"#);
        check(r#" { code =~ '5..' , method!~`GET|HEAD`, } "#, r#"{code=~"5..",method!~"GET|HEAD"}"#);
        check(r#"a="x\"\\\n\u00e9""#, r#"{a="x\"\\\né"}"#);
    }

    #[test]
    fn expressions_are_anchored() {
        let matchers: Matchers = r#"code=~"5..|4..""#.parse().expect("valid");
        for (code, matches) in [("500", true), ("404", true), ("5000", false), ("1500", false), ("", false)] {
            assert_eq!(matchers.matches(&Labels::new([("code", code)])), matches, "{code}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (bad, part) in [
            ("code", "expected one of =, !=, =~, !~ at the end"),
            ("code=5", "expected a value in quotes at character 6"),
            ("code==\"5\"", "expected a value in quotes at character 6"),
            ("code=\"5", "expected a closing \""),
            ("{code=\"5\"", "expected } at the end"),
            ("code=\"5\"}", "expected , at character 9"),
            ("{code=\"5\"} x", "expected nothing more"),
            ("=\"5\"", "expected a label name at character 1"),
            ("a-b=\"5\"", "expected a label name of letters"),
            ("a=\"\\d\"", "unknown escape \\d"),
            ("a=~\"(\"", "unclosed group"),
            ("a=~\"a)(b\"", "unopened group"),
            ("a=~\"(\\\\w{500}){500}\"", "more than 1048576 bytes"),
        ] {
            let error = bad.parse::<Matchers>().expect_err(bad);
            assert!(error.contains(part), "{bad}: {error}");
        }
    }
}
