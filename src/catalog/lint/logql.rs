//! Queries of Loki, as far as they can be judged without a parser of LogQL: texts, brackets, stream selector, ranges.

/// What is wrong with a query, if anything.
pub(super) fn problem(text: &str) -> Option<String> {
    let Some(code) = without_texts(text) else { return Some("a text does not end".to_owned()) };
    let mut open = Vec::new();
    for c in code.chars() {
        match c {
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' => {
                let opened = open.pop();
                if opened != Some(opening(c)) {
                    return Some(format!("{c} closes nothing"));
                }
            }
            _ => {}
        }
    }
    if let Some(open) = open.pop() {
        return Some(format!("{open} is not closed"));
    }
    let selector = code.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(selector, _)| selector);
    match selector {
        Some(selector) if selector.contains('"') && (selector.contains('=') || selector.contains('~')) => None,
        Some(_) => Some("the stream selector matches no label".to_owned()),
        None => Some("there is no stream selector {label=\"value\"}".to_owned()),
    }
}

/// Ranges that are not `$__auto`.
pub(super) fn other_ranges(text: &str) -> Vec<String> {
    let Some(code) = without_texts(text) else { return Vec::new() };
    let ranges = code.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(range, _)| range.trim());
    ranges.filter(|range| !["$__auto", "${__auto}"].contains(range)).map(str::to_owned).collect()
}

fn opening(closing: char) -> char {
    match closing {
        ')' => '(',
        ']' => '[',
        _ => '{',
    }
}

/// Without what is in quotes; the quotes stay. None when a text does not end.
fn without_texts(text: &str) -> Option<String> {
    let mut code = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        code.push(c);
        if c == '"' || c == '`' {
            loop {
                match chars.next()? {
                    '\\' if c == '"' => drop(chars.next()),
                    end if end == c => break,
                    _ => {}
                }
            }
            code.push(c);
        }
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_within_texts_and_patterns_do_not_count() {
        assert_eq!(problem(r#"sum(rate({app="a"} |= "(" |~ `\[` [$__auto]))"#), None);
        assert_eq!(problem(r#"sum(rate({app="a"} [$__auto])"#), Some("( is not closed".to_owned()));
        assert_eq!(problem("rate({} [5m])"), Some("the stream selector matches no label".to_owned()));
        assert!(problem("rate(x[5m])").expect("wrong").contains("no stream selector"));
    }

    #[test]
    fn a_range_of_its_own_is_named() {
        assert_eq!(other_ranges(r#"rate({a="[5m]"}[$__auto]) / rate({a="b"}[5m])"#), ["5m"]);
    }
}
