//! The formats by example, by round trip, and against an independent reader.

use super::*;
use crate::model::Labels;
use proptest::prelude::*;

/// Statement ¦ page ¦ what it says. An end mark is added for OpenMetrics.
const BOTH: &str = r##"
a plain line ¦ m 1⏎ ¦ m 1
a line with labels ¦ m{b="2",a="1"} 5⏎ ¦ m{a="1",b="2"} 5
no labels in braces ¦ m{} 1⏎ ¦ m 1
blanks in empty braces ¦ m{ ⇥} 1⏎ ¦ m 1
a blank before the braces ¦ m {a="1"} 5⏎ ¦ m{a="1"} 5
no blank after the braces ¦ m{a="1"}5⏎ ¦ m{a="1"} 5
blanks inside braces ¦ m{ a = "1" ,⇥b="2" } 5⏎ ¦ m{a="1",b="2"} 5
a comma behind the last label ¦ m{a="1",} 5⏎ ¦ m{a="1"} 5
tabs and several blanks ¦ ⇥ m ⇥ 1  ⏎ ¦ m 1
CRLF ¦ m 1␍⏎n{a="b"} 2␍⏎ ¦ m 1; n{a="b"} 2
blank lines ¦ ⏎ ⏎m 1⏎⏎⇥⏎ ¦ m 1
comments of any kind ¦ # hi⏎#⏎#x⏎# HELPER m⏎# TYPES m⏎m 1⏎ ¦ m 1
colons in the name of a recording rule ¦ job:http:rate5m 4⏎ ¦ job:http:rate5m 4
a colon at the start of a name ¦ :m 4⏎ ¦ :m 4
braces in a value ¦ m{path="/u/{id}"} 2⏎ ¦ m{path="/u/{id}"} 2
a whole sample in a value ¦ m{q="{a} 5 b"} 7⏎ ¦ m{q="{a} 5 b"} 7
an end of labels in a value ¦ m{q="a\"} 5"} 7⏎ ¦ m{q="a\"} 5"} 7
a comma in a value ¦ m{v="a,b"} 3⏎ ¦ m{v="a,b"} 3
an equals sign in a value ¦ m{q="a=b"} 3⏎m{q="a=c"} 4⏎ ¦ m{q="a=b"} 3; m{q="a=c"} 4
a hash in a value ¦ m{q="a # {b"} 3⏎ ¦ m{q="a # {b"} 3
an escaped backslash at the end of a value ¦ m{q="a\\"} 3⏎ ¦ m{q="a\\"} 3
an escaped newline ¦ m{q="a\nb"} 3⏎ ¦ m{q="a\nb"} 3
an unknown escape stays as it is ¦ m{q="\d"} 3⏎ ¦ m{q="\\d"} 3
an empty value ¦ m{a=""} 3⏎ ¦ m 3
other languages in a value ¦ m{a="日本 é"} 3⏎ ¦ m{a="日本 é"} 3
a NUL byte in a value ¦ m{a="x␀y"} 3⏎ ¦ m{a="x\0y"} 3
a NUL byte in a comment ¦ # x␀y⏎m 1⏎ ¦ m 1
a name in quotes ¦ {"http.requests",a="b"} 9⏎ ¦ http.requests{a="b"} 9
a name in quotes alone ¦ { "http requests" } 9⏎ ¦ http requests 9
a name in quotes behind labels ¦ {a="b","m"} 9⏎ ¦ m{a="b"} 9
escapes in a quoted name ¦ {"a\"b\\c"} 9⏎ ¦ a"b\c 9
a label name in quotes ¦ m{"a.b"="c",d="e"} 9⏎ ¦ m{a.b="c",d="e"} 9
quoted and plain lines in turn ¦ {"m n"} 1⏎m 2⏎{"m n"} 3⏎ ¦ m n 1; m 2; m n 3
not a number ¦ m NaN⏎m nan⏎ ¦ m NaN; m NaN
infinities ¦ m +Inf⏎m -Inf⏎m Inf⏎m inf⏎ ¦ m inf; m -inf; m inf; m inf
exponents ¦ m 1e3⏎m -1.5E-3⏎ ¦ m 1000; m -0.0015
hexadecimal numbers ¦ m 0x1p-2⏎ ¦ m 0.25
a number as a label of a bucket ¦ h_bucket{le="+Inf"} 3⏎ ¦ h_bucket{le="+Inf"} 3
a name that starts like the one before ¦ ab 1⏎abc 2⏎a 3⏎ ¦ ab 1; abc 2; a 3
types ¦ # TYPE m counter⏎m 1⏎ ¦ type m counter; m 1
types with many blanks ¦ #⇥TYPE  m⇥ gauge ⏎m 1⏎ ¦ type m gauge; m 1
types of quoted names ¦ # TYPE "a.b" summary⏎ ¦ type a.b summary
help with escapes and quotes ¦ # HELP m a \\ \n "b" {c⏎m 1⏎ ¦ m 1
help without text, and without a name ¦ # HELP m⏎# HELP⏎m 1⏎ ¦ m 1
"##;

/// The same for text alone.
const TEXT: &str = r##"
an empty page ¦  ¦ 
a page of one newline ¦ ⏎ ¦ 
no newline at the end ¦ m 1⏎n 2 ¦ m 1; n 2
a carriage return at the end ¦ m 1␍ ¦ m 1
timestamps in milliseconds ¦ m 1 1520879607789⏎ ¦ m 1 @1520879607789
a negative timestamp ¦ m{a="b"} 1 -5⏎ ¦ m{a="b"} 1 @-5
a byte order mark ¦ <BOM>m 1⏎ ¦ m 1
an untyped family ¦ # TYPE m untyped⏎ ¦ type m unknown
the end mark is a comment ¦ # EOF⏎m 1⏎ ¦ m 1
a unit is a comment ¦ # UNIT 9⏎m 1⏎ ¦ m 1
fractions of timestamps ¦ m 1 1.5⏎ ¦ syntax: line 1: expected a timestamp in whole milliseconds after the value, found "1.5"
exemplars ¦ m 1 # {} 2⏎ ¦ syntax: line 1: expected a timestamp in whole milliseconds after the value, found "#"
"##;

/// The same for OpenMetrics alone.
const OPENMETRICS: &str = r##"
an empty page with its end ¦ # EOF⏎ ¦ 
no newline behind the end ¦ m 1⏎# EOF ¦ m 1
seconds with a fraction ¦ m_total 1 1520879607.789⏎# EOF⏎ ¦ m_total 1 @1520879607789
whole seconds ¦ m{a="b"} 1 1520879607⏎# EOF⏎ ¦ m{a="b"} 1 @1520879607000
an exemplar ¦ m_total 17 # {trace_id="x"} 0.67⏎# EOF⏎ ¦ m_total 17
an exemplar with times ¦ m{le="1"} 17 9.5 # {trace_id="x } # {"} 0.67 1520879607.789⏎# EOF⏎ ¦ m{le="1"} 17 @9500
an exemplar without labels ¦ m 17 #{}0.67⏎# EOF⏎ ¦ m 17
created samples ¦ m_created 1520430000.123⏎# EOF⏎ ¦ m_created 1520430000.123
units ¦ # UNIT m_seconds seconds⏎# EOF⏎ ¦ unit m_seconds seconds
a unit of several words ¦ # UNIT m_queue_bytes  queue_bytes ⏎# EOF⏎ ¦ unit m_queue_bytes queue_bytes
a unit of a quoted name ¦ # UNIT "m.n_bytes" bytes⏎# EOF⏎ ¦ unit m.n_bytes bytes
no unit ¦ # UNIT m⏎# UNIT n ⏎# EOF⏎ ¦ unit m ; unit n 
a unit that is not the end of the name ¦ # UNIT m_seconds bytes⏎# EOF⏎ ¦ syntax: line 1: expected a unit that ends the name "m_seconds" behind "_", found "bytes"
a unit that is a part of a word ¦ # UNIT m_kilobytes bytes⏎# EOF⏎ ¦ syntax: line 1: expected a unit that ends the name "m_kilobytes" behind "_", found "bytes"
a unit that is the whole name ¦ # UNIT bytes bytes⏎# EOF⏎ ¦ syntax: line 1: expected a unit that ends the name "bytes" behind "_", found "bytes"
info ¦ # TYPE m info⏎m_info{v="1"} 1⏎# EOF⏎ ¦ type m info; m_info{v="1"} 1
info of several things ¦ # TYPE m info⏎m_info{entity="c",name="a"} 1⏎m_info{entity="d",name="b"} 1.0⏎# EOF⏎ ¦ type m info; m_info{entity="c",name="a"} 1; m_info{entity="d",name="b"} 1
stateset ¦ # TYPE m stateset⏎m{m="on"} 1⏎m{m="off"} 0⏎m{m="half way",x="y"} 0⏎# EOF⏎ ¦ type m stateset; m{m="on"} 1; m{m="off"} 0; m{m="half way",x="y"} 0
gaugehistogram ¦ # TYPE m gaugehistogram⏎m_bucket{le="0.5"} 2⏎m_bucket{le="+Inf"} 3 9.5 # {a="b"} 4⏎m_gcount 3⏎m_gsum -2.5⏎# EOF⏎ ¦ type m gaugehistogram; m_bucket{le="0.5"} 2; m_bucket{le="+Inf"} 3 @9500; m_gcount 3; m_gsum -2.5
unknown ¦ # TYPE m unknown⏎# EOF⏎ ¦ type m unknown
no end ¦ m 1⏎ ¦ truncated: line 1: the page is cut off: its last line is not "# EOF"
nothing at all ¦  ¦ truncated: the page is cut off: its last line is not "# EOF"
half a page ¦ # TYPE m counter⏎m_total 1⏎m_tot ¦ syntax: line 3: expected a number after the series, found the end of the line
a sample behind the end ¦ # EOF⏎m 1⏎ ¦ text after end: line 2: expected nothing after "# EOF", found "m 1"
a comment behind the end ¦ # EOF⏎# EOF⏎ ¦ text after end: line 2: expected nothing after "# EOF", found "# EOF"
a broken exemplar ¦ m 1 # {a=b} 1⏎# EOF⏎ ¦ syntax: line 1: expected a value in double quotes after "=", found "b} 1"
an exemplar without a number ¦ m 1 # {}⏎# EOF⏎ ¦ syntax: line 1: expected a number after the labels of the exemplar, found the end of the line
an exemplar with a name ¦ m 1 # {"n"} 1⏎# EOF⏎ ¦ syntax: line 1: expected "=" after a label name in quotes, found "n"
too much behind an exemplar ¦ m 1 # {} 1 2 3⏎# EOF⏎ ¦ syntax: line 1: expected the end of the line after the exemplar, found "3"
a time that is no number ¦ m 0⏎m 1 NaN⏎# EOF⏎ ¦ syntax: line 2: expected a timestamp in seconds after the value, found "NaN"
a unit without a name ¦ # UNIT 9⏎# EOF⏎ ¦ syntax: line 1: expected a metric name after UNIT, found "9"
a byte order mark ¦ <BOM># EOF⏎ ¦ encoding: line 1: found a byte order mark, which OpenMetrics forbids
"##;

/// Line ¦ why it is refused.
const MALFORMED: &str = r##"
Bad Gateway ¦ expected a number after the series, found "Gateway"
m ¦ expected a number after the series, found the end of the line
m  ¦ expected a number after the series, found the end of the line
m{} ¦ expected a number after the series, found the end of the line
m 1 2 3 ¦ expected the end of the line after the timestamp, found "3"
m 1e999 ¦ expected a number after the series, found "1e999"
m 1_000 ¦ expected a number after the series, found "1_000"
m 0x10 ¦ expected a number after the series, found "0x10"
m-a 1 ¦ expected a blank or "{" after the metric name, found "-a 1"
http.requests 1 ¦ expected a blank or "{" after the metric name, found ".requests 1"
m␀ 1 ¦ expected a blank or "{" after the metric name, found "\0 1"
9m 1 ¦ expected a metric name, found "9m 1"
é 1 ¦ expected a metric name, found "é 1"
m{a="b" 1 ¦ expected "," or "}" in the labels, found "1"
m{a="b" c="d"} 1 ¦ expected "," or "}" in the labels, found "c=\"d\"} 1"
m{a="b ¦ expected a closing quote in the line, found "\"b"
m{a="b\ ¦ expected a closing quote in the line, found "\"b\\"
m{a=b} 1 ¦ expected a value in double quotes after "=", found "b} 1"
m{a} 1 ¦ expected "=" after the label name, found "} 1"
m{a:b="c"} 1 ¦ expected "=" after the label name, found ":b=\"c\"} 1"
m{1a="c"} 1 ¦ expected a label name or "}", found "1a=\"c\"} 1"
m{,} 1 ¦ expected a label name or "}", found ",} 1"
m{ ¦ expected a label name or "}", found the end of the line
m{a ¦ expected "=" after the label name, found the end of the line
m{"n"} 1 ¦ expected "=" after a label name in quotes, found "n"
m{""="n"} 1 ¦ expected a name in quotes, found "\"\"=\"n\"} 1"
{a="b"} 1 ¦ expected a metric name before the labels or in quotes among them, found "{a=\"b\"} 1"
{"m","n"} 1 ¦ expected one metric name, found "{\"m\",\"n\"} 1"
# TYPE m conter ¦ expected a metric type after the name, found "conter"
# TYPE m Counter ¦ expected a metric type after the name, found "Counter"
# TYPE m ¦ expected a metric type after the name, found the end of the line
# TYPE 9 gauge ¦ expected a metric name after TYPE, found "9 gauge"
# HELP 9 text ¦ expected a metric name after HELP, found "9 text"
"##;

/// Everything a page says, in one line: types, samples with sorted labels, or the error.
fn render(page: &[u8], format: Format, wanted: &str) -> String {
    let mut said = Vec::new();
    let keep = |name: &str| wanted == "*" || wanted.split(' ').any(|wanted| wanted == name);
    let result = read(page, format, keep, |event| said.extend(show(event)));
    match result {
        Ok(summary) => {
            let is_sample = |line: &&String| !line.starts_with("type ") && !line.starts_with("unit ");
            assert_eq!(summary.wanted, said.iter().filter(is_sample).count());
            said.join("; ")
        }
        Err(error) => format!("{}: {error}", words(error.kind)),
    }
}

/// What an event says; help has its own test.
fn show(event: Event<'_>) -> Option<String> {
    Some(match event {
        Event::Help { .. } => return None,
        Event::Histogram(line) => panic!("there are none in text: {line:?}"),
        Event::Type { family, kind } => format!("type {family} {}", kind.name()),
        Event::Unit { family, unit } => format!("unit {family} {unit}"),
        Event::Sample(line) => {
            let (name, labels) = labels(&line.series).expect("a series that was read decodes");
            assert_eq!(name, line.name);
            let time = line.timestamp.map_or(String::new(), |time| format!(" @{}", time.0));
            format!("{name}{labels} {}{time}", line.value)
        }
    })
}

/// The rows of a table, with the marks in it replaced by what they stand for.
fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [String; N]> {
    let plain = |cell: &str| {
        [("⏎", "\n"), ("⇥", "\t"), ("␍", "\r"), ("␀", "\0"), ("<BOM>", "\u{feff}")]
            .iter()
            .fold(cell.to_owned(), |cell, (mark, char)| cell.replace(mark, char))
    };
    table.trim().lines().map(move |row| {
        let cells: Vec<String> = row.split(" ¦ ").map(plain).collect();
        cells.try_into().unwrap_or_else(|_| panic!("{N} cells in {row:?}"))
    })
}

fn check(format: Format, table: &str, end: &str) {
    for [statement, page, expected] in rows(table) {
        let page = page + end;
        assert_eq!(render(page.as_bytes(), format, "*"), expected, "{statement}");
        let nobody = read(page.as_bytes(), format, |_| false, |_| {}).map_err(|error| error.kind);
        let all = read(page.as_bytes(), format, |_| true, |_| {}).map_err(|error| error.kind);
        if let Ok(all) = all {
            assert_eq!(nobody, Ok(Summary { wanted: 0, ..all }), "{statement}: unwanted lines are checked less");
        }
    }
}

#[test]
fn lines_that_both_formats_allow_are_read() {
    check(Format::Text, BOTH, "");
    check(Format::OpenMetrics, BOTH, "# EOF\n");
}

#[test]
fn the_text_format_has_its_own_rules() {
    check(Format::Text, TEXT, "");
}

#[test]
fn openmetrics_has_its_own_rules() {
    check(Format::OpenMetrics, OPENMETRICS, "");
}

#[test]
fn a_malformed_line_fails_the_page_with_its_number() {
    for [line, message] in rows(MALFORMED) {
        let page = format!("# TYPE x gauge\nx 1\n{line}\ny 2\n");
        assert_eq!(render(page.as_bytes(), Format::Text, "*"), format!("syntax: line 3: {message}"), "{line:?}");
    }
}

#[test]
fn damage_on_unwanted_lines_that_shows_at_their_ends_fails_the_page() {
    for line in [
        "Bad Gateway",
        "Not Found",
        "Error 503 Service",
        "m",
        "m abc",
        "m{a=\"b",
        "m{a=\"b\"}",
        "m{a=\"b\"} x",
        "m{} 1 2 3",
        "m-1 1",
        "9m 1",
        "<p>",
        "m{a=\"b\"} 1 x",
    ] {
        let page = format!("# TYPE x gauge\nx 1\n{line}\n");
        let error = read(page.as_bytes(), Format::Text, |_| false, |_| {}).expect_err(line);
        assert_eq!((error.line, error.kind), (3, ErrorKind::Syntax), "{line:?}");
    }
}

#[test]
fn a_page_that_is_something_else_is_an_error_whatever_is_wanted() {
    for page in [
        "<!DOCTYPE html>\n<html></html>",
        "<html>",
        "\n\n  <p>502</p>",
        "{\"status\":\"error\"}",
        "{\n  \"a\": 1\n}",
        "{}",
        "[]",
        "[{\"a\":1}]",
        "Not Found",
        "Internal Server Error",
        "404 page not found\n",
        "OK",
        "ok\n",
        "Bad Gateway",
        "Error 503 Service Unavailable",
        "no healthy upstream",
        "upstream connect error or disconnect/reset before headers. reset reason: overflow",
        "Instance not ready",
        "null",
        "\"m\"",
        "# a comment\nUnauthorized\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ] {
        for format in [Format::Text, Format::OpenMetrics] {
            for wanted in ["*", "x"] {
                let said = render(page.as_bytes(), format, wanted);
                assert!(said.starts_with("not an exposition: line "), "{page:?}: {said}");
            }
        }
    }
    let said = render(b"<!DOCTYPE html>\n<html>", Format::Text, "*");
    assert_eq!(
        said,
        "not an exposition: line 1: expected an exposition page, found text that starts with \"<!DOCTYPE html>\""
    );
}

#[test]
fn bytes_that_are_not_utf8_are_an_encoding_error() {
    let said = render(b"m 1\nm{a=\"\xff\"} 1\n", Format::Text, "x");
    assert_eq!(said, "encoding: line 2: expected UTF-8, found byte 0xff");
    let said = render(b"\x1f\x8b\x08", Format::Text, "*");
    assert_eq!(said, "encoding: line 1: expected UTF-8, found byte 0x8b");
}

#[test]
fn only_wanted_samples_are_handed_out_and_all_are_counted() {
    let page = b"# TYPE a gauge\na 1\nb{x=\"1\"} 2\nb{x=\"2\"} 3\n# c\na 4\n";
    assert_eq!(render(page, Format::Text, "b"), "type a gauge; b{x=\"1\"} 2; b{x=\"2\"} 3");
    let summary = read(page, Format::Text, |name| name == "b", |_| {}).expect("a good page");
    assert_eq!(summary, Summary { lines: 6, samples: 4, wanted: 2 });
    let mut asked = Vec::new();
    read(
        page,
        Format::Text,
        |name| {
            asked.push(name.to_owned());
            false
        },
        |_| {},
    )
    .expect("a good page");
    assert_eq!(asked, ["a", "b"], "the last names are remembered");
}

#[test]
fn a_line_carries_its_number_and_its_series_as_written() {
    let mut lines = Vec::new();
    let page = b"\n m { b=\"2\", a=\"\\n\" } 1\n{\"n\"}2\no\t3 4\n";
    read(
        page,
        Format::Text,
        |_| true,
        |event| {
            if let Event::Sample(line) = event {
                lines.push((line.number, line.series.into_owned()));
            }
        },
    )
    .expect("a good page");
    let lines: Vec<(usize, &str)> = lines.iter().map(|(number, series)| (*number, series.as_str())).collect();
    assert_eq!(lines, [(2, "m { b=\"2\", a=\"\\n\" }"), (3, "{\"n\"}"), (4, "o")]);
}

#[test]
fn content_types_choose_the_format() {
    let format = |header| Format::of_content_type(header).map_err(|error| error.to_string());
    for header in [
        None,
        Some(""),
        Some("text/plain; version=0.0.4"),
        Some("TEXT/PLAIN"),
        Some("application/octet-stream"),
        Some("text/x-metrics"),
        Some("nonsense"),
    ] {
        assert_eq!(format(header), Ok(Format::Text), "{header:?}");
    }
    for header in ["application/openmetrics-text", "Application/OpenMetrics-Text ; version=1.0.0; charset=utf-8"] {
        assert_eq!(format(Some(header)), Ok(Format::OpenMetrics), "{header:?}");
    }
    for header in ["text/html", "text/html; charset=utf-8", "application/json", "application/problem+json", "image/png"]
    {
        assert!(format(Some(header)).is_err(), "{header:?}");
    }
    let said = format(Some("text/html; charset=utf-8"));
    assert_eq!(said, Err(format!("expected {MEDIA}, found content type \"text/html\"")));
}

#[test]
fn help_is_told_without_its_escapes() {
    let page = "# HELP m a \\\\ b \\n c \\\" d \\x\n# HELP \"m n\"  two blanks\n# HELP n\n# EOF\n";
    for (format, quote) in [(Format::Text, "\\\""), (Format::OpenMetrics, "\"")] {
        let mut told = Vec::new();
        let event = |event| match event {
            Event::Help { family, text } => told.push((family.into_owned(), text.into_owned())),
            other => panic!("{other:?}"),
        };
        read(page.as_bytes(), format, |_| true, event).expect("a good page");
        let expected =
            [("m", format!("a \\ b \n c {quote} d \\x")), ("m n", " two blanks".into()), ("n", String::new())];
        assert_eq!(told, expected.map(|(family, text)| (family.to_owned(), text)));
    }
}

#[test]
fn nan_in_a_page_is_not_the_stale_marker() {
    let mut values = Vec::new();
    let event = |event| {
        if let Event::Sample(line) = event {
            values.push(line.value);
        }
    };
    read(b"m NaN\n", Format::Text, |_| true, event).expect("a good page");
    assert!(values[0].is_nan() && !crate::model::is_stale_marker(values[0]));
}

/// A series of any names and values, and the text of it in one of the ways a target may write it.
fn any_series() -> impl Strategy<Value = (String, Vec<(String, String)>, String)> {
    let plain = "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}";
    let name = prop_oneof![
        plain.prop_map(String::from),
        any::<String>().prop_filter("names are not empty", |name| !name.is_empty())
    ];
    let label =
        prop_oneof!["[a-zA-Z_][a-zA-Z0-9_]{0,8}", "\\PC{1,6}"].prop_filter("reserved", |name| name != "__name__");
    let labels = prop::collection::btree_map(label, any::<String>(), 0..5);
    (name, labels, "[ \t]{0,2}", any::<bool>()).prop_map(|(name, labels, blank, comma)| {
        let labels: Vec<_> = labels.into_iter().collect();
        let text = write_series(&name, &labels, &blank, comma);
        (name, labels, text)
    })
}

fn write_series(name: &str, labels: &[(String, String)], blank: &str, comma: bool) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let is_plain = series::plain_name_length(name) == name.len();
    let mut parts: Vec<String> = if is_plain { vec![] } else { vec![format!("\"{}\"", escape(name))] };
    for (label, value) in labels {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !label.starts_with(|first: char| first.is_ascii_digit());
        let label = if plain { label.clone() } else { format!("\"{}\"", escape(label)) };
        parts.push(format!("{label}{blank}={blank}\"{}\"", escape(value)));
    }
    let comma = if comma && !parts.is_empty() { "," } else { "" };
    let start = if is_plain { format!("{name}{blank}") } else { String::new() };
    format!("{start}{{{blank}{}{blank}{comma}}}", parts.join(&format!("{blank},{blank}")))
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(series in prop::collection::vec(any_series(), 1..6), value: f64, time in prop::option::of(any::<i64>())) {
        prop_assume!(value.is_finite());
        let after = time.map_or(String::new(), |time| format!(" {time}"));
        let page: String = series.iter().map(|(_, _, text)| format!("{text} {value:e}{after}\n")).collect();
        let mut at = 0;
        let result = read(page.as_bytes(), Format::Text, |_| true, |event| {
            let Event::Sample(line) = event else { panic!("no types were written") };
            let (name, pairs, text) = &series[at];
            at += 1;
            assert_eq!((line.number, &*line.series, &*line.name), (at, text.as_str(), name.as_str()));
            assert_eq!((line.value.to_bits(), line.timestamp), (value.to_bits(), time.map(Timestamp)));
            let told = pairs.iter().filter(|(_, value)| !value.is_empty());
            let expected = Labels::new(told.map(|(name, value)| (name.as_str(), value.as_str())));
            assert_eq!(labels(&line.series), Ok((name.clone(), expected)));
        });
        prop_assert_eq!(result.map(|summary| summary.wanted), Ok(series.len()));
    }

    #[test]
    fn no_page_makes_the_reader_panic(page in prop::collection::vec(any::<u8>(), 0..200), format in prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)]) {
        let _ = read(&page, format, |_| true, |_| {});
    }

    #[test]
    fn pages_of_the_characters_that_matter_agree_whether_wanted_or_not(page in "[ma1 {}\"\\\\=,#\n\r\t.eN+-]{0,60}") {
        for format in [Format::Text, Format::OpenMetrics] {
            let mut series = Vec::new();
            let all = read(page.as_bytes(), format, |_| true, |event| if let Event::Sample(line) = event { series.push(line.series) });
            let none = read(page.as_bytes(), format, |_| false, |_| {});
            for text in series {
                prop_assert!(!matches!(labels(&text), Err(LabelError::Syntax(_))), "{}", text);
            }
            if let Ok(all) = all {
                prop_assert_eq!(none, Ok(Summary { wanted: 0, ..all }));
            }
        }
    }

    /// prometheus-parse is wrong on labels with blanks, escapes or separators; on lines without these it is an
    /// independent witness.
    #[test]
    fn plain_lines_are_read_as_prometheus_parse_reads_them(
        name in "[a-z_][a-z0-9_]{0,8}",
        pairs in prop::collection::btree_map("[a-z_][a-z0-9_]{0,5}", "[a-zA-Z0-9/.:+-]{1,8}", 0..4),
        value in prop_oneof![any::<f64>().prop_map(|value| format!("{value:e}")), "[+-]?[0-9]{1,20}(\\.[0-9]{1,20})?", Just("NaN".to_owned()), Just("-Inf".to_owned())],
        time in prop::option::of(0_i64..9_999_999_999_999),
    ) {
        let block: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let block = if block.is_empty() { String::new() } else { format!("{{{}}}", block.join(",")) };
        let value = value.replace("inf", "Inf");
        let line = format!("{name}{block} {value}{}\n", time.map_or(String::new(), |time| format!(" {time}")));
        let theirs = prometheus_parse::Scrape::parse(line.lines().map(|line| Ok(line.to_owned()))).expect("lines are given");
        let theirs = theirs.samples.first().expect("one sample");
        let prometheus_parse::Value::Untyped(their_value) = theirs.value else { panic!("no type was given") };
        let mut ours = Vec::new();
        read(line.as_bytes(), Format::Text, |_| true, |event| if let Event::Sample(line) = event { ours.push(line) }).expect("a good page");
        let [ours] = ours.as_slice() else { panic!("one sample") };
        prop_assert!(ours.value == their_value || ours.value.is_nan() && their_value.is_nan());
        prop_assert!(time.is_none() || ours.timestamp.map(|time| time.0) == Some(theirs.timestamp.timestamp_millis()));
        let (our_name, our_labels) = labels(&ours.series).expect("a series that was read decodes");
        prop_assert_eq!(our_name, theirs.metric.clone());
        prop_assert_eq!(our_labels, Labels::new(theirs.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
    }
}

#[test]
fn a_label_that_stands_twice_is_an_error() {
    for (series, twice) in
        [("m{a=\"1\",b=\"2\",a=\"1\"}", "a"), ("m{\"a\"=\"1\",a=\"2\"}", "a"), ("m{__name__=\"n\"}", "__name__")]
    {
        assert_eq!(labels(series), Err(LabelError::Duplicate(twice.into())), "{series}");
    }
    for text in ["", "m 1", "m{}x", "m}", "{}", "{\"m\",\"n\"}", "m{\"n\"}", "m{a=\"b\"", "9"] {
        assert!(matches!(labels(text), Err(LabelError::Syntax(_))), "{text:?}");
    }
}

#[test]
fn huge_values_and_very_many_labels_take_linear_time() {
    let long = format!("m{{a=\"{}\"}} 1\n", "x\\\"}".repeat(300_000));
    let many: Vec<String> = (0..100_000).map(|i| format!("l{i}=\"v\"")).collect();
    let many = format!("m{{{}}} 1\n", many.join(","));
    for (page, count) in [(long, 1), (many, 100_000)] {
        read(
            page.as_bytes(),
            Format::Text,
            |_| true,
            |event| {
                let Event::Sample(line) = event else { panic!("no types were written") };
                assert_eq!(labels(&line.series).expect("a series that was read decodes").1.len(), count);
            },
        )
        .expect("a good page");
        read(page.as_bytes(), Format::Text, |_| false, |_| {}).expect("a good page");
    }
}

/// The kind as the tables above write it.
fn words(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotExposition => "not an exposition",
        ErrorKind::Truncated => "truncated",
        ErrorKind::TextAfterEnd => "text after end",
        ErrorKind::Syntax => "syntax",
        ErrorKind::Encoding => "encoding",
    }
}
