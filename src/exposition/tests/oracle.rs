//! The text reader against prometheus-parse, an independent reader: on generated pages of the lines that it reads
//! right both say the same, and each kind of line that it reads wrong is shown to be so, since it is left out of the
//! generated pages. Names without colons and dots, values without braces, commas, equals signs, quotes, backslashes,
//! no blanks in and before braces, no OpenMetrics: whoever fixes the oracle is told by the table.

use prometheus_parse::{Scrape, Value};

use super::*;

/// One line as both readers tell it: type, name, labels, value, and the timestamp or `None`.
type Told = (String, String, Vec<(String, String)>, String, Option<i64>);

/// The time that prometheus-parse gives to lines without one; no line has it.
const UNTIMED: i64 = 77;

/// Bounds of buckets and quantiles, which prometheus-parse turns into numbers.
const BOUNDS: [&str; 5] = ["0.005", "1", "2.5e2", "+Inf", "0.99"];

/// What Plimsoll reads on a page. Labels that prometheus-parse reads as numbers are shown as such.
fn ours(page: &str, format: Format) -> Vec<Told> {
    let mut types = std::collections::HashMap::new();
    let mut told = Vec::new();
    read(
        page.as_bytes(),
        format,
        |_| true,
        |event| match event {
            Event::Type { family, kind } => drop(types.insert(family.into_owned(), kind)),
            Event::Sample(line) => {
                let family = match format {
                    Format::OpenMetrics => line.name.strip_suffix("_total"),
                    Format::Text | Format::Protobuf => line.name.strip_suffix("_bucket"),
                };
                let kind = types.get(family.unwrap_or(&line.name));
                told.push(told_by_us(&line, kind.copied()));
            }
            _ => {}
        },
    )
    .expect("a good page");
    told.sort();
    told
}

fn told_by_us(line: &Line<'_>, kind: Option<FamilyType>) -> Told {
    let (name, labels) = labels(&line.series).expect("a series that was read decodes");
    let bound = match kind {
        Some(FamilyType::Histogram) => "le",
        Some(FamilyType::Summary) => "quantile",
        _ => "",
    };
    let kind = match kind {
        Some(kind @ (FamilyType::Counter | FamilyType::Gauge)) => kind.name(),
        Some(kind) if labels.get(bound).is_some() => kind.name(),
        _ => "untyped",
    };
    let show = |(name, value): (&str, &str)| {
        let number = (name == bound).then(|| number::value(value).expect("bounds are numbers").to_string());
        (name.to_owned(), number.unwrap_or_else(|| value.to_owned()))
    };
    let time = line.timestamp.map(|time| time.0);
    (kind.into(), name, labels.iter().map(show).collect(), format!("{:?}", line.value), time)
}

/// What prometheus-parse reads on a page, with the buckets and quantiles that it groups as the lines they were.
fn theirs(page: &str) -> Vec<Told> {
    let parse = |page: &str, now| {
        let lines = page.lines().map(|line| Ok(line.to_owned()));
        match now {
            None => Scrape::parse(lines),
            Some(now) => Scrape::parse_at(lines, now),
        }
        .expect("reading from memory does not fail")
    };
    let untimed = parse(&format!("m 1 {UNTIMED}"), None).samples[0].timestamp;
    let mut told = Vec::new();
    for sample in parse(page, Some(untimed)).samples {
        let time = Some(sample.timestamp.timestamp_millis()).filter(|time| *time != UNTIMED);
        for (kind, suffix, bound, value) in lines_of(&sample.value) {
            // An empty label is the same as none (Prometheus data model).
            let labels = sample.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
            let mut labels: Vec<_> = labels.filter(|(_, value)| !value.is_empty()).chain(bound).collect();
            labels.sort();
            told.push((kind.into(), format!("{}{suffix}", sample.metric), labels, format!("{value:?}"), time));
        }
    }
    told.sort();
    told
}

type LineOf = (&'static str, &'static str, Option<(String, String)>, f64);

/// The lines behind a value: type, suffix of the name, label of the bound, number.
fn lines_of(value: &Value) -> Vec<LineOf> {
    let bound = |name: &str, bound: f64| Some((name.to_owned(), bound.to_string()));
    match value {
        Value::Counter(value) => vec![("counter", "", None, *value)],
        Value::Gauge(value) => vec![("gauge", "", None, *value)],
        Value::Untyped(value) => vec![("untyped", "", None, *value)],
        Value::Histogram(buckets) => {
            let line = |bucket: &prometheus_parse::HistogramCount| {
                ("histogram", "_bucket", bound("le", bucket.less_than), bucket.count)
            };
            buckets.iter().map(line).collect()
        }
        Value::Summary(quantiles) => {
            let line = |quantile: &prometheus_parse::SummaryCount| {
                ("summary", "", bound("quantile", quantile.quantile), quantile.count)
            };
            quantiles.iter().map(line).collect()
        }
    }
}

/// How the lines of one series are laid out.
#[derive(Clone, Debug)]
struct Layout {
    start: &'static str,
    blank: &'static str,
    comma: bool,
    end: &'static str,
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let start = prop::sample::select(vec!["", "", " ", "\t"]);
    let blank = prop::sample::select(vec![" ", " ", "\t", " \t "]);
    let end = prop::sample::select(vec!["\n", "\r\n", " \n", "\t\r\n", "\n\n", "\n# a comment\n"]);
    (start, blank, any::<bool>(), end).prop_map(|(start, blank, comma, end)| Layout { start, blank, comma, end })
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<f64>().prop_map(|value| format!("{value:e}")),
        "[+-]?[0-9]{1,20}(\\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?",
        "[0-9]{1,17}",
        prop::sample::select(vec!["NaN", "+Inf", "-Inf", "Inf", "0", "-0", ".5", "1e3"]).prop_map(String::from),
    ]
}

/// Labels, layout, timestamp and a few values.
type AnySeries = (Vec<(String, String)>, Layout, Option<i64>, Vec<String>);

fn any_series() -> impl Strategy<Value = AnySeries> {
    let label = "[a-zA-Z_][a-zA-Z0-9_]{0,8}"
        .prop_filter("means something", |name| !["le", "quantile", "__name__"].contains(&name.as_str()));
    let labels = prop::collection::btree_map(label, "[\\PC&&[^{},=\"\\\\]]{0,8}", 0..4);
    let time =
        prop::option::of((-9_999_999_999_999_i64..9_999_999_999_999).prop_filter("taken", |time| *time != UNTIMED));
    (labels.prop_map(|labels| labels.into_iter().collect()), any_layout(), time, prop::collection::vec(any_value(), 3))
}

/// A family with its metadata lines: histograms with buckets, sum and count, summaries with quantiles.
fn any_family() -> impl Strategy<Value = (String, String)> {
    let kind = prop::sample::select(vec!["counter", "gauge", "untyped", "histogram", "summary", ""]);
    let series = prop::collection::btree_map("[a-z]{1,4}", any_series(), 1..4);
    ("[a-zA-Z_][a-zA-Z0-9_]{0,8}", kind, "\\PC{0,20}", series).prop_map(|(name, kind, help, series)| {
        let mut lines = format!("# HELP {{name}} {help}\n");
        if !kind.is_empty() {
            lines += &format!("# TYPE {{name}} {kind}\n");
        }
        for (id, series) in series {
            lines += &series_lines(&id, kind, series);
        }
        (name, lines)
    })
}

/// The lines of a series, with `{name}` for the name of its family. `id` keeps series apart.
fn series_lines(id: &str, kind: &str, (labels, layout, time, values): AnySeries) -> String {
    let mut pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    if labels.iter().all(|(name, _)| name != "id") {
        pairs.push(format!("id=\"{id}\""));
    }
    let line = |suffix: &str, bound: Option<(&str, &str)>, value: &str| {
        let bound = bound.map(|(name, bound)| format!("{name}=\"{bound}\""));
        let block = pairs.iter().cloned().chain(bound).collect::<Vec<_>>().join(",");
        let Layout { start, blank, comma, end } = layout;
        let (comma, time) = (if comma { "," } else { "" }, time.map_or(String::new(), |time| format!("{blank}{time}")));
        format!("{start}{{name}}{suffix}{{{block}{comma}}}{blank}{value}{time}{end}")
    };
    let bounded = |suffix: &str, name: &str| {
        let lines =
            BOUNDS.iter().zip(values.iter().cycle()).map(|(bound, value)| line(suffix, Some((name, bound)), value));
        lines.collect::<String>()
    };
    match kind {
        "histogram" => bounded("_bucket", "le") + &line("_sum", None, &values[1]) + &line("_count", None, &values[2]),
        "summary" => bounded("", "quantile") + &line("_sum", None, &values[1]) + &line("_count", None, &values[2]),
        _ => line("", None, &values[0]),
    }
}

proptest! {
    #[test]
    fn generated_pages_are_read_as_prometheus_parse_reads_them(families in prop::collection::vec(any_family(), 1..5)) {
        let page: String = families
            .iter()
            .enumerate()
            .map(|(at, (name, lines))| lines.replace("{name}", &format!("{name}_{at}")))
            .collect();
        let ours = ours(&page, Format::Text);
        prop_assert!(!ours.is_empty());
        prop_assert_eq!(ours, theirs(&page), "{}", page);
    }

    #[test]
    fn lines_without_labels_are_read_as_prometheus_parse_reads_them(
        name in "[a-zA-Z_][a-zA-Z0-9_]{0,8}", layout in any_layout(), value in any_value(), time in prop::option::of(100_i64..9_999_999_999_999)
    ) {
        let time = time.map_or(String::new(), |time| format!("{}{time}", layout.blank));
        let line = format!("{}{name}{}{value}{time}{}", layout.start, layout.blank, layout.end);
        prop_assert_eq!(ours(&line, Format::Text), theirs(&line), "{}", line);
    }
}

/// What prometheus-parse reads wrong ¦ page ¦ what it says ¦ what prometheus-parse reads. Pages that end in `# EOF` are
/// OpenMetrics.
const WRONG: &str = r##"
braces in a value ¦ m{path="/u/{id}"} 2⏎ ¦ untyped m{path=[/u/{id}]} 2.0 ¦ 
a sample in a value ¦ m{q="{a} 5 b"} 7⏎ ¦ untyped m{q=[{a} 5 b]} 7.0 ¦ untyped m{q=[{a]} 5.0
a comma in a value ¦ m{v="a,b"} 3⏎ ¦ untyped m{v=[a,b]} 3.0 ¦ untyped m{v=[a]} 3.0
an equals sign in a value ¦ m{q="a=b"} 3⏎m{q="a=c"} 4⏎ ¦ untyped m{q=[a=b]} 3.0; untyped m{q=[a=c]} 4.0 ¦ untyped m{} 3.0; untyped m{} 4.0
an escaped backslash ¦ m{a="b\\c"} 1⏎ ¦ untyped m{a=[b\c]} 1.0 ¦ untyped m{a=[b\\c]} 1.0
an escaped quote ¦ m{a="b\"c"} 1⏎ ¦ untyped m{a=[b"c]} 1.0 ¦ untyped m{a=[b\"c]} 1.0
an escaped quote at the end ¦ m{a="b\""} 1⏎ ¦ untyped m{a=[b"]} 1.0 ¦ untyped m{a=[b\]} 1.0
an escaped newline ¦ m{a="b\nc"} 1⏎ ¦ untyped m{a=[b⏎c]} 1.0 ¦ untyped m{a=[b\nc]} 1.0
a colon in a name ¦ job:http:rate5m 4⏎ ¦ untyped job:http:rate5m{} 4.0 ¦ 
a name in quotes ¦ {"http.requests",a="b"} 9⏎ ¦ untyped http.requests{a=[b]} 9.0 ¦ 
a label name in quotes ¦ m{"a.b"="c"} 9⏎ ¦ untyped m{a.b=[c]} 9.0 ¦ untyped m{"a.b"=[c]} 9.0
empty braces ¦ m{} 1⏎ ¦ untyped m{} 1.0 ¦ 
a blank before the braces ¦ m {a="1"} 5⏎ ¦ untyped m{a=[1]} 5.0 ¦ 
blanks in the braces ¦ m{ a="1" , b="2" } 5⏎ ¦ untyped m{a=[1],b=[2]} 5.0 ¦ untyped m{ a=[1" ], b=[2" ]} 5.0
no blank behind the braces ¦ m{a="b"}1⏎ ¦ untyped m{a=[b]} 1.0 ¦ 
hexadecimal numbers ¦ m 0x1p-2⏎ ¦ untyped m{} 0.25 ¦ 
a byte order mark ¦ <BOM>m 1⏎ ¦ untyped m{} 1.0 ¦ 
times that differ in a histogram ¦ # TYPE h histogram⏎h_bucket{le="1"} 1 100⏎h_bucket{le="2"} 1 200⏎ ¦ histogram h_bucket{le=[1]} 1.0 @100; histogram h_bucket{le=[2]} 1.0 @200 ¦ histogram h_bucket{le=[1]} 1.0 @100; histogram h_bucket{le=[2]} 1.0 @100
a time in seconds ¦ m 1 1520879607⏎# EOF ¦ untyped m{} 1.0 @1520879607000 ¦ untyped m{} 1.0 @1520879607
a time with a fraction ¦ m 1 1520879607.789⏎# EOF ¦ untyped m{} 1.0 @1520879607789 ¦ untyped m{} 1.0
the type of a counter of OpenMetrics ¦ # TYPE m counter⏎m_total 1⏎# EOF ¦ counter m_total{} 1.0 ¦ untyped m_total{} 1.0
"##;

fn show_all(told: Vec<Told>) -> String {
    let show = |(kind, name, labels, value, time): Told| {
        let labels: Vec<_> = labels.into_iter().map(|(name, value)| format!("{name}=[{value}]")).collect();
        let time = time.map_or(String::new(), |time| format!(" @{time}"));
        format!("{kind} {name}{{{}}} {value}{time}", labels.join(","))
    };
    told.into_iter().map(show).collect::<Vec<_>>().join("; ")
}

#[test]
fn what_is_left_out_of_the_generated_pages_is_read_wrong_by_prometheus_parse() {
    for [statement, page, right, wrong] in rows(WRONG) {
        let format = if page.contains("# EOF") { Format::OpenMetrics } else { Format::Text };
        assert_eq!(show_all(ours(&page, format)), right, "{statement}");
        let theirs = show_all(theirs(&page));
        assert_ne!(theirs, right, "{statement}: prometheus-parse is right by now; generate such lines");
        assert_eq!(theirs, wrong, "{statement}: prometheus-parse is wrong in another way");
    }
}

#[test]
fn pages_that_are_refused_are_good_ones_without_samples_to_prometheus_parse() {
    for (page, format) in [
        ("<html>\n<body>502 Bad Gateway</body>\n</html>\n", Format::Text),
        ("# TYPE m counter\nm_tot", Format::Text),
        ("# TYPE m counter\n", Format::OpenMetrics),
    ] {
        assert_eq!(theirs(page), [], "{page:?}");
        assert!(read(page.as_bytes(), format, |_| true, |_| {}).is_err(), "{page:?}");
    }
}
