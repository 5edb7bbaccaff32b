//! The report for people: grouped by check, wrapped, each problem with its fix ready to copy.

use crate::doctor::{Check, Finding, Report, State, Summary};

/// Columns of the state before what is said.
const MARGIN: usize = 11;

/// Below the text of a finding.
const INDENT: &str = "           ";

const RESET: &str = "\x1b[0m";

pub(super) fn lines(report: &Report, width: usize, is_coloured: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut last = None;
    for finding in &report.findings {
        if last != Some(finding.check) {
            lines.extend(heading(finding.check, last.is_some(), is_coloured));
            last = Some(finding.check);
        }
        lines.extend(of_finding(finding, width, is_coloured));
    }
    lines.push(String::new());
    lines.push(summary(report.summary));
    lines
}

fn heading(check: Check, is_later: bool, is_coloured: bool) -> Vec<String> {
    let title = if is_coloured { format!("\x1b[1m{}{RESET}", check.title()) } else { check.title().to_owned() };
    is_later.then(String::new).into_iter().chain([title]).collect()
}

fn of_finding(finding: &Finding, width: usize, is_coloured: bool) -> Vec<String> {
    let mut lines = wrapped(&format!("{}: {}", name(finding), finding.found), width);
    let word = format!("{:<9}", word(finding.state));
    let word = match colour(finding.state).filter(|_| is_coloured) {
        Some(code) => format!("\x1b[{code}m{word}{RESET}"),
        None => word,
    };
    lines[0] = format!("{word}  {}", lines[0].trim_start());
    if let Some(expected) = &finding.expected {
        lines.extend(wrapped(&format!("expected: {expected}"), width));
    }
    // Whole, so that it can be copied.
    let mut fixes = finding.fix.iter().flat_map(|fix| fix.lines());
    lines.extend(fixes.next().map(|fix| format!("{INDENT}fix: {fix}")));
    lines.extend(fixes.map(|fix| format!("{INDENT}     {fix}")));
    lines
}

/// The object, without its kind where the heading says it.
fn name(finding: &Finding) -> String {
    let object = &finding.object;
    match (finding.check.usual_kind() == object.kind, &object.namespace) {
        (false, _) => object.to_string(),
        (true, Some(namespace)) => format!("{namespace}/{}", object.name),
        (true, None) => object.name.clone(),
    }
}

/// Words in lines that begin below the text of a finding; at least one line.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let room = width.saturating_sub(MARGIN).max(20);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            lines.push(String::new());
            used = 0;
        }
        let line = lines.last_mut().expect("there is one");
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    lines.iter().map(|line| format!("{INDENT}{line}")).collect()
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "  ok",
        State::Unknown => "  unknown",
        State::Warning => "  warning",
        State::Failure => "  FAILURE",
    }
}

/// The parameter of the "select graphic rendition" sequence (ECMA-48).
fn colour(state: State) -> Option<&'static str> {
    match state {
        State::Ok => Some("32"),
        State::Unknown => Some("36"),
        State::Warning => Some("33"),
        State::Failure => Some("31;1"),
    }
}

fn summary(summary: Summary) -> String {
    let Summary { ok, warning, failure, unknown } = summary;
    let counted = |count, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let words = [
        counted(failure, "failure", "failures"),
        counted(warning, "warning", "warnings"),
        format!("{unknown} unknown"),
        format!("{ok} ok"),
    ];
    words.join(", ")
}
