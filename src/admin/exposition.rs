//! The own registry as OpenMetrics 1.0 or in the text format 0.0.4.
//!
//! The metrics crate writes OpenMetrics, where a counter's family has no `_total`. In the text format the
//! family has the name of its samples, so its metadata lines are renamed.

use std::collections::HashSet;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Content type and body.
pub(super) fn encode(registry: &Registry, openmetrics: bool) -> (&'static str, String) {
    let mut page = String::new();
    text::encode(&mut page, registry).expect("writing into a String does not fail");
    if openmetrics { (OPENMETRICS, page) } else { (TEXT, to_text(&page)) }
}

fn to_text(page: &str) -> String {
    let counters: HashSet<&str> =
        page.lines().filter_map(|line| family(line, "# TYPE ")?.strip_suffix(" counter")).collect();
    let infos: HashSet<&str> = page.lines().filter_map(|line| family(line, "# TYPE ")?.strip_suffix(" info")).collect();
    let mut text = String::with_capacity(page.len());
    for line in page.lines().filter(|line| *line != "# EOF") {
        text.push_str(&match metadata(line) {
            Some((keyword, name, rest)) if counters.contains(name) => format!("# {keyword} {name}_total {rest}"),
            Some(("TYPE", name, _)) if infos.contains(name) => format!("# TYPE {name}_info gauge"),
            Some((keyword, name, rest)) if infos.contains(name) => format!("# {keyword} {name}_info {rest}"),
            _ => line.to_owned(),
        });
        text.push('\n');
    }
    text
}

fn family<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    line.strip_prefix(prefix)
}

fn metadata(line: &str) -> Option<(&str, &str, &str)> {
    let mut parts = line.strip_prefix("# ")?.splitn(3, ' ');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_has_the_name_of_its_samples_in_the_text_format() {
        let page = "# HELP a Things.\n# TYPE a counter\na_total 1\n# HELP b B.\n# TYPE b gauge\nb 2\n# EOF\n";
        let text = "# HELP a_total Things.\n# TYPE a_total counter\na_total 1\n# HELP b B.\n# TYPE b gauge\nb 2\n";
        assert_eq!(to_text(page), text);
    }
}
