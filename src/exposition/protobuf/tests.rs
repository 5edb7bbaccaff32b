//! Messages of an independent encoder (prost), read back; and what no encoder writes.

mod messages;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::exposition::{Format, labels};
use crate::model::{Buckets, Labels};
use messages::{
    Bucket, BucketSpan, Counter, Exemplar, Gauge, Histogram, LabelPair, Metric, MetricFamily, Packed, Quantile,
    Summary as SummaryMessage, Timestamp as Time, Untyped,
};

const COUNTER: i32 = 0;
const GAUGE: i32 = 1;
const SUMMARY: i32 = 2;
const UNTYPED: i32 = 3;
const HISTOGRAM: i32 = 4;
const GAUGE_HISTOGRAM: i32 = 5;

fn family(name: &str, kind: i32, metric: Vec<Metric>) -> MetricFamily {
    MetricFamily { name: Some(name.into()), r#type: Some(kind), metric, ..MetricFamily::default() }
}

fn label_pairs(pairs: &[(&str, &str)]) -> Vec<LabelPair> {
    pairs.iter().map(|(name, value)| LabelPair { name: Some((*name).into()), value: Some((*value).into()) }).collect()
}

fn counter(labels: &[(&str, &str)], value: f64) -> Metric {
    let counter = Counter { value: Some(value), ..Counter::default() };
    Metric { label: label_pairs(labels), counter: Some(counter), ..Metric::default() }
}

fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    Metric { label: label_pairs(labels), gauge: Some(Gauge { value: Some(value) }), ..Metric::default() }
}

fn histogram(labels: &[(&str, &str)], histogram: Histogram) -> Metric {
    Metric { label: label_pairs(labels), histogram: Some(histogram), ..Metric::default() }
}

fn bucket(upper_bound: f64, cumulative_count: u64) -> Bucket {
    Bucket {
        upper_bound: Some(upper_bound),
        cumulative_count: Some(cumulative_count),
        exemplar: Some(Exemplar { label: label_pairs(&[("trace", "x")]), value: Some(0.1), timestamp: None }),
        ..Bucket::default()
    }
}

fn spans(spans: &[(i32, u32)]) -> Vec<BucketSpan> {
    spans.iter().map(|(offset, length)| BucketSpan { offset: Some(*offset), length: Some(*length) }).collect()
}

/// 12 observations: 2 in the zero bucket, 1 in bucket -3, buckets 0, 1 and 4 with 1, 3 and 5.
fn native() -> Histogram {
    Histogram {
        sample_count: Some(12),
        sample_sum: Some(18.4),
        schema: Some(3),
        zero_threshold: Some(0.001),
        zero_count: Some(2),
        negative_span: spans(&[(-3, 1)]),
        negative_delta: vec![1],
        positive_span: spans(&[(0, 2), (2, 1)]),
        positive_delta: vec![1, 2, 2],
        ..Histogram::default()
    }
}

fn page(families: &[MetricFamily]) -> Vec<u8> {
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

/// Everything a page says, one event in each line, or the error.
fn render(page: &[u8], wanted: &str) -> String {
    let mut said = Vec::new();
    let keep = |name: &str| wanted == "*" || wanted.split(' ').any(|wanted| wanted == name);
    match crate::exposition::read(page, Format::Protobuf, keep, |event| said.push(show(event))) {
        Ok(summary) => {
            let metadata = ["type ", "help ", "unit "];
            let count = said.iter().filter(|line| !metadata.iter().any(|start| line.starts_with(start))).count();
            assert_eq!(summary.wanted, count);
            said.join("\n")
        }
        Err(error) => format!("{:?}: {error}", error.kind),
    }
}

fn show(event: Event<'_>) -> String {
    let time = |time: Option<Timestamp>| time.map_or(String::new(), |time| format!(" @{}", time.0));
    match event {
        Event::Help { family, text } => format!("help {family} {text}"),
        Event::Unit { family, unit } => format!("unit {family} {unit}"),
        Event::Type { family, kind } => format!("type {family} {}", kind.name()),
        Event::Sample(line) => {
            assert_eq!(labels(&line.series).expect("a series that was generated decodes").0, line.name);
            format!("{} {}{}", line.series, line.value, time(line.timestamp))
        }
        Event::Histogram(line) => {
            let NativeHistogram { schema, zero_threshold, zero_count, count, sum, positive, negative } = line.histogram;
            let buckets =
                |buckets: &Buckets| buckets.iter().map(|(at, count)| format!(" {at}:{count}")).collect::<String>();
            assert_eq!(labels(&line.series).expect("a series that was generated decodes").0, line.name);
            format!(
                "{} schema={schema} zero={zero_threshold}:{zero_count} count={count} sum={sum} negative{} positive{}{}",
                line.series,
                buckets(&negative),
                buckets(&positive),
                time(line.timestamp)
            )
        }
    }
}

#[track_caller]
fn check(families: &[MetricFamily], wanted: &str, expected: &[&str]) {
    assert_eq!(render(&page(families), wanted), expected.join("\n"));
}

#[test]
fn counters_gauges_and_untyped_metrics_are_single_samples() {
    let untyped = Metric { untyped: Some(Untyped { value: Some(-1.5) }), ..Metric::default() };
    let families = [
        family("requests_total", COUNTER, vec![counter(&[("code", "200"), ("a", "b\"c\\\n")], 7.0), counter(&[], 1e9)]),
        family("depth", GAUGE, vec![gauge(&[], f64::NEG_INFINITY), gauge(&[("x", "")], f64::NAN)]),
        family("odd", UNTYPED, vec![untyped]),
    ];
    check(
        &families,
        "*",
        &[
            "type requests_total counter",
            "requests_total{code=\"200\",a=\"b\\\"c\\\\\\n\"} 7",
            "requests_total 1000000000",
            "type depth gauge",
            "depth -inf",
            "depth{x=\"\"} NaN",
            "type odd unknown",
            "odd -1.5",
        ],
    );
}

#[test]
fn a_summary_is_its_quantiles_its_sum_and_its_count() {
    let quantile = |quantile, value| Quantile { quantile: Some(quantile), value: Some(value) };
    let summary = SummaryMessage {
        sample_count: Some(3),
        sample_sum: Some(0.75),
        quantile: vec![quantile(0.5, 0.25), quantile(0.99, f64::NAN)],
        created_timestamp: Some(Time { seconds: 100, nanos: 500_000_000 }),
    };
    let metric = Metric { label: label_pairs(&[("a", "b")]), summary: Some(summary), ..Metric::default() };
    check(
        &[family("s", SUMMARY, vec![metric])],
        "*",
        &[
            "type s summary",
            "s{a=\"b\",quantile=\"0.5\"} 0.25",
            "s{a=\"b\",quantile=\"0.99\"} NaN",
            "s_sum{a=\"b\"} 0.75",
            "s_count{a=\"b\"} 3",
            "s_created{a=\"b\"} 100.5",
        ],
    );
}

#[test]
fn a_classic_histogram_is_its_buckets_its_sum_and_its_count() {
    let classic = Histogram {
        sample_count: Some(9),
        sample_sum: Some(4.5),
        bucket: vec![bucket(0.005, 1), bucket(1.0, 4), bucket(1e6, 8)],
        ..Histogram::default()
    };
    let with_infinity = Histogram { bucket: vec![bucket(2.0, 4), bucket(f64::INFINITY, 9)], ..classic.clone() };
    check(
        &[family("h", HISTOGRAM, vec![histogram(&[("a", "b")], classic), histogram(&[], with_infinity)])],
        "*",
        &[
            "type h histogram",
            "h_bucket{a=\"b\",le=\"0.005\"} 1",
            "h_bucket{a=\"b\",le=\"1\"} 4",
            "h_bucket{a=\"b\",le=\"1e+06\"} 8",
            "h_bucket{a=\"b\",le=\"+Inf\"} 9",
            "h_sum{a=\"b\"} 4.5",
            "h_count{a=\"b\"} 9",
            "h_bucket{le=\"2\"} 4",
            "h_bucket{le=\"+Inf\"} 9",
            "h_sum 4.5",
            "h_count 9",
        ],
    );
}

#[test]
fn counts_of_float_histograms_stand_before_those_of_integers() {
    let float = Histogram {
        sample_count: Some(1),
        sample_count_float: Some(2.5),
        bucket: vec![Bucket { cumulative_count_float: Some(1.5), ..bucket(1.0, 7) }],
        ..Histogram::default()
    };
    check(
        &[family("h", GAUGE_HISTOGRAM, vec![histogram(&[], float)])],
        "*",
        &["type h gaugehistogram", "h_bucket{le=\"1\"} 1.5", "h_bucket{le=\"+Inf\"} 2.5", "h_sum 0", "h_count 2.5"],
    );
}

#[test]
fn a_native_histogram_has_absolute_counts_by_index() {
    check(
        &[family("h", HISTOGRAM, vec![histogram(&[("a", "b")], native())])],
        "h",
        &["type h histogram", "h{a=\"b\"} schema=3 zero=0.001:2 count=12 sum=18.4 negative -3:1 positive 0:1 1:3 4:5"],
    );
}

#[test]
fn a_native_histogram_comes_beside_its_classic_form() {
    let mut metric = histogram(&[], Histogram { bucket: vec![bucket(1.0, 5)], ..native() });
    metric.timestamp_ms = Some(5);
    check(
        &[family("h", GAUGE_HISTOGRAM, vec![metric])],
        "*",
        &[
            "type h gaugehistogram",
            "h_bucket{le=\"1\"} 5 @5",
            "h_bucket{le=\"+Inf\"} 12 @5",
            "h_sum 18.4 @5",
            "h_count 12 @5",
            "h schema=3 zero=0.001:2 count=12 sum=18.4 negative -3:1 positive 0:1 1:3 4:5 @5",
        ],
    );
}

#[test]
fn a_native_histogram_alone_has_no_classic_buckets() {
    let page = page(&[family("h", HISTOGRAM, vec![histogram(&[], native())])]);
    assert!(!render(&page, "h_bucket h_count").contains("_bucket"), "{}", render(&page, "h_bucket h_count"));
    let nothing_yet = Histogram { sample_count: Some(0), ..Histogram::default() };
    let page = self::page(&[family("h", HISTOGRAM, vec![histogram(&[], nothing_yet)])]);
    assert!(render(&page, "h_bucket").contains("h_bucket{le=\"+Inf\"}"), "{}", render(&page, "h_bucket"));
}

#[test]
fn a_native_histogram_of_floats_has_its_counts_as_written() {
    let float = Histogram {
        sample_count_float: Some(4.5),
        zero_count_float: Some(1.5),
        schema: Some(-2),
        positive_span: spans(&[(-1, 2), (0, 1)]),
        positive_count: vec![0.5, 0.0, 2.5],
        ..Histogram::default()
    };
    check(
        &[family("h", HISTOGRAM, vec![histogram(&[], float)])],
        "h",
        &["type h histogram", "h schema=-2 zero=0:1.5 count=4.5 sum=0 negative positive -1:0.5 1:2.5"],
    );
}

#[test]
fn a_histogram_is_native_when_its_spans_or_its_zero_bucket_say_so() {
    let empty = Histogram::default();
    for (statement, histogram_message, is_native) in [
        ("nothing at all", empty.clone(), false),
        ("a schema alone", Histogram { schema: Some(3), ..empty.clone() }, false),
        ("an empty span", Histogram { positive_span: spans(&[(0, 0)]), ..empty.clone() }, true),
        ("an empty negative span", Histogram { negative_span: spans(&[(0, 0)]), ..empty.clone() }, true),
        ("a zero threshold", Histogram { zero_threshold: Some(1e-9), ..empty.clone() }, true),
        ("a zero count", Histogram { zero_count: Some(1), sample_count: Some(1), ..empty.clone() }, true),
    ] {
        let said = render(&page(&[family("h", HISTOGRAM, vec![histogram(&[], histogram_message)])]), "h");
        assert_eq!(said.lines().count(), if is_native { 2 } else { 1 }, "{statement}: {said}");
    }
}

#[test]
fn observations_that_are_nan_may_be_missing_from_the_buckets() {
    let nan = Histogram { sample_count: Some(15), sample_sum: Some(f64::NAN), ..native() };
    let said = render(&page(&[family("h", HISTOGRAM, vec![histogram(&[], nan)])]), "h");
    assert!(said.contains("count=15 sum=NaN"), "{said}");
}

#[test]
fn a_native_histogram_that_contradicts_itself_fails_the_page() {
    let float =
        || Histogram { sample_count_float: Some(1.0), positive_delta: vec![], negative_delta: vec![], ..native() };
    for (broken, message) in [
        (
            Histogram { sample_count: Some(13), ..native() },
            "expected 13 observations as its count says, found 12 in buckets",
        ),
        (
            Histogram { sample_count: Some(11), sample_sum: Some(f64::NAN), ..native() },
            "expected 11 observations as its count says, found 12 in buckets",
        ),
        (
            Histogram { positive_delta: vec![1, -2, 9], ..native() },
            "expected counts that are not negative, found the difference -2 behind 1",
        ),
        (
            Histogram { positive_delta: vec![i64::MAX, i64::MAX], ..native() },
            "expected counts that are not negative, found the difference 9223372036854775807 behind 9223372036854775807",
        ),
        (
            Histogram { positive_span: spans(&[(0, 2)]), ..native() },
            "expected counts for 2 buckets as its spans say, found 3",
        ),
        (
            Histogram { positive_span: spans(&[(0, u32::MAX), (0, u32::MAX)]), ..native() },
            "expected counts for 8589934590 buckets as its spans say, found 3",
        ),
        (
            Histogram { positive_span: spans(&[(0, 2), (-1, 1)]), ..native() },
            "expected spans in order, found the offset -1 in span 2",
        ),
        (
            Histogram { positive_span: spans(&[(i32::MAX, 3)]), ..native() },
            "expected buckets for numbers that exist, found bucket 2147483647 of schema 3",
        ),
        (
            Histogram { positive_span: spans(&[(0, 2), (i32::MAX, 0), (i32::MAX, 1)]), ..native() },
            "expected buckets for numbers that exist, found bucket 4294967296 of schema 3",
        ),
        (Histogram { schema: Some(9), ..native() }, "expected a schema from -4 to 8, found 9"),
        (Histogram { schema: Some(-53), ..native() }, "expected a schema from -4 to 8, found -53"),
        (Histogram { zero_threshold: Some(-1.0), ..native() }, "expected a finite zero threshold, found -1"),
        (Histogram { zero_threshold: Some(f64::NAN), ..native() }, "expected a finite zero threshold, found NaN"),
        (
            Histogram { positive_count: vec![1.0, -2.0, 1.0], negative_count: vec![0.0], ..float() },
            "expected counts that are finite and not negative, found -2",
        ),
        (
            Histogram { positive_count: vec![1.0, f64::NAN, 1.0], negative_count: vec![0.0], ..float() },
            "expected counts that are finite and not negative, found NaN",
        ),
        (
            Histogram { positive_count: vec![1.0; 3], negative_count: vec![], ..float() },
            "expected counts for 1 buckets as its spans say, found 0",
        ),
    ] {
        let page = page(&[family("up", GAUGE, vec![]), family("h", HISTOGRAM, vec![histogram(&[("a", "b")], broken)])]);
        let expected = format!("Syntax: family 2 (h): native histogram h{{a=\"b\"}}: {message}");
        assert_eq!(render(&page, "h"), expected);
        assert!(!render(&page, "h_count").starts_with("Syntax"), "nobody wants the native buckets");
    }
}

#[test]
fn families_tell_their_type_help_and_unit() {
    let described = MetricFamily {
        help: Some("What \\n it is.\n".into()),
        unit: Some("seconds".into()),
        ..family("a_seconds", GAUGE, vec![gauge(&[], 1.0)])
    };
    check(
        &[described, family("empty", SUMMARY, vec![])],
        "",
        &["help a_seconds What \\n it is.\n", "type a_seconds gauge", "unit a_seconds seconds", "type empty summary"],
    );
}

#[test]
fn times_of_creation_are_samples_and_zero_is_none() {
    let created = |name: &str, seconds, nanos| {
        let counter = Counter { value: Some(1.0), created_timestamp: Some(Time { seconds, nanos }), exemplar: None };
        family(name, COUNTER, vec![Metric { counter: Some(counter), timestamp_ms: Some(-7), ..Metric::default() }])
    };
    check(
        &[created("a_total", 1_520_430_000, 123_000_000), created("b", 5, 0), created("c", 0, 0)],
        "a_created b_created c_created",
        &[
            "type a_total counter",
            "a_created 1520430000.123 @-7",
            "type b counter",
            "b_created 5 @-7",
            "type c counter",
        ],
    );
}

#[test]
fn a_timestamp_of_zero_is_none() {
    let at = |time| Metric { timestamp_ms: Some(time), ..gauge(&[], 1.0) };
    check(
        &[family("m", GAUGE, vec![at(0), at(1_520_879_607_789), at(i64::MIN)])],
        "*",
        &["type m gauge", "m 1", "m 1 @1520879607789", "m 1 @-9223372036854775808"],
    );
}

#[test]
fn names_beyond_the_plain_ones_are_quoted() {
    check(
        &[family("http.requests", COUNTER, vec![counter(&[("a.b", "c")], 1.0), counter(&[], 2.0)])],
        "http.requests",
        &["type http.requests counter", "{\"http.requests\",\"a.b\"=\"c\"} 1", "{\"http.requests\"} 2"],
    );
}

#[test]
fn only_wanted_samples_are_handed_out() {
    let classic = Histogram { bucket: vec![bucket(1.0, 5)], ..native() };
    let families = [
        family("a", GAUGE, vec![gauge(&[], 1.0), gauge(&[("x", "y")], 2.0)]),
        family("h", HISTOGRAM, vec![histogram(&[], classic)]),
        family("b", GAUGE, vec![gauge(&[], 3.0)]),
    ];
    check(&families, "h_count b", &["type a gauge", "type h histogram", "h_count 12", "type b gauge", "b 3"]);
    let read = |wanted: &str| {
        crate::exposition::read(&page(&families), Format::Protobuf, |name| name == wanted, |_| {}).expect("a good page")
    };
    assert_eq!(read("h"), Summary { lines: 3, samples: 8, wanted: 1 }, "four classic samples and the native one");
    assert_eq!(read("x"), Summary { lines: 3, samples: 4, wanted: 0 }, "metrics");
}

#[test]
fn families_that_nobody_wants_are_not_looked_into() {
    let mut bytes = page(&[family("a", GAUGE, vec![gauge(&[], 1.0)])]);
    // A metric of nonsense in a family named b, of type gauge.
    bytes.extend([9, 0x0a, 1, b'b', 0x18, 1, 0x22, 2, 0xff, 0xff]);
    assert_eq!(render(&bytes, "a"), "type a gauge\na 1\ntype b gauge");
    assert_eq!(render(&bytes, "b"), "Syntax: family 2 (b): the message is damaged: expected the number of a field");
}

#[test]
fn fields_may_stand_in_any_order_and_unknown_ones_are_skipped() {
    let metric = gauge(&[("x", "y")], 3.0);
    let (name, rest) = (MetricFamily { name: Some("m".into()), ..MetricFamily::default() }, metric.encode_to_vec());
    let mut message = vec![0x22, rest.len() as u8];
    message.extend(rest);
    // Unknown fields of all wire types: 100 to 103.
    message.extend([0xa0, 0x06, 5, 0xa9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0xb2, 0x06, 1, 0, 0xbd, 0x06, 1, 2, 3, 4]);
    message.extend([0x18, 1]);
    message.extend(name.encode_to_vec());
    let mut page = vec![message.len() as u8];
    page.extend(message);
    assert_eq!(render(&page, "*"), "type m gauge\nm{x=\"y\"} 3");
}

#[test]
fn repeated_numbers_may_be_packed() {
    let packed = |histogram: Histogram| {
        let packed = Packed {
            negative_delta: histogram.negative_delta.clone(),
            negative_count: histogram.negative_count.clone(),
            positive_delta: histogram.positive_delta.clone(),
            positive_count: histogram.positive_count.clone(),
        };
        let mut bytes = packed.encode_to_vec();
        let empty = Histogram {
            negative_delta: vec![],
            negative_count: vec![],
            positive_delta: vec![],
            positive_count: vec![],
            ..histogram
        };
        bytes.extend(empty.encode_to_vec());
        bytes
    };
    let float = Histogram {
        sample_count_float: Some(6.0),
        positive_count: vec![1.0, 2.0, 3.0],
        negative_count: vec![0.5],
        positive_delta: vec![],
        negative_delta: vec![],
        ..native()
    };
    for message in [native(), float] {
        let expected = render(&page(&[family("h", HISTOGRAM, vec![histogram(&[], message.clone())])]), "h");
        let mut metric = vec![0x3a];
        let bytes = packed(message);
        metric.push(bytes.len() as u8);
        metric.extend(bytes);
        let mut family_bytes = family("h", HISTOGRAM, vec![]).encode_to_vec();
        family_bytes.extend([0x22, metric.len() as u8]);
        family_bytes.extend(metric);
        let mut page = Vec::new();
        prost::encoding::encode_varint(family_bytes.len() as u64, &mut page);
        page.extend(family_bytes);
        assert_eq!(render(&page, "h"), expected);
    }
}

#[test]
fn families_that_make_no_sense_fail_the_page_with_their_number() {
    let wrong_type = family("m", COUNTER, vec![gauge(&[], 1.0)]);
    let unnamed_label = family("m", GAUGE, vec![gauge(&[("", "x")], 1.0)]);
    for (broken, expected) in [
        (family("", GAUGE, vec![]), "Syntax: family 2: expected a family with a name"),
        (
            family("m", 6, vec![]),
            "Syntax: family 2 (m): expected a metric type from 0 (counter) to 5 (gauge histogram), found 6",
        ),
        (
            family("m\nx 1", 6, vec![]),
            "Syntax: family 2 (m\\nx 1): expected a metric type from 0 (counter) to 5 (gauge histogram), found 6",
        ),
        (wrong_type, "Syntax: family 2 (m): expected a metric with the values of its type (counter), found none"),
        (unnamed_label, "Syntax: family 2 (m): expected a label with a name, found \"x\""),
    ] {
        assert_eq!(render(&page(&[family("a", GAUGE, vec![]), broken]), "*"), expected);
    }
}

#[test]
fn text_that_is_used_is_utf8() {
    let families = [family("mmmm", GAUGE, vec![gauge(&[("llll", "vvvv")], 1.0)])];
    for (text, what, place) in [
        ("mmmm", "the name", "family 1"),
        ("llll", "a label name", "family 1 (mmmm)"),
        ("vvvv", "a label value", "family 1 (mmmm)"),
    ] {
        let mut bytes = page(&families);
        let at = bytes.windows(4).position(|window| window == text.as_bytes()).expect("it is there");
        bytes[at + 2] = 0xff;
        let expected = format!("Encoding: {place}: expected UTF-8, found other bytes from byte 2 of {what} on");
        assert_eq!(render(&bytes, "*"), expected);
    }
}

#[test]
fn a_page_cut_off_anywhere_is_an_error_or_whole_families() {
    let quantile = Quantile { quantile: Some(0.5), value: Some(1.0) };
    let summary = SummaryMessage { quantile: vec![quantile], sample_count: Some(1), ..SummaryMessage::default() };
    let families = [
        family("a_total", COUNTER, vec![counter(&[("x", "y")], 300.0)]),
        family("s", SUMMARY, vec![Metric { summary: Some(summary), ..Metric::default() }]),
        family("h", HISTOGRAM, vec![histogram(&[("a", "b")], Histogram { bucket: vec![bucket(1.0, 5)], ..native() })]),
    ];
    let whole = page(&families);
    let ends: Vec<usize> = (0..=families.len()).map(|count| page(&families[..count]).len()).collect();
    for end in 0..whole.len() {
        let said = render(&whole[..end], "*");
        if ends.contains(&end) {
            assert!(!said.contains("cut off"), "{end}: {said}");
        } else {
            let family = ends.iter().filter(|start| **start <= end).count();
            let start = format!("Truncated: family {family}: the page is cut off");
            assert!(said.starts_with(&start), "{end}: {said}");
        }
    }
}

#[test]
fn an_absurd_length_is_a_truncated_page() {
    for length in [&[0xff, 0xff, 0xff, 0xff, 0x7f][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]] {
        let said = render(length, "*");
        assert!(said.starts_with("Truncated: family 1: the page is cut off: the family has"), "{said}");
    }
    let said = render(&[0xff; 20], "*");
    assert_eq!(said, "Syntax: family 1: expected the length of a family, found a number of more than 64 bits");
}

#[test]
fn series_that_would_fill_the_memory_are_refused() {
    let long = "x".repeat(1 << 20);
    let buckets = (0..1000).map(|at| bucket(f64::from(at), 0)).collect();
    let wide = histogram(&[("a", &long)], Histogram { bucket: buckets, ..Histogram::default() });
    let said = render(&page(&[family("h", HISTOGRAM, vec![wide])]), "h_bucket");
    assert_eq!(said, "Syntax: family 1 (h): expected wanted series that take up to 67108864 bytes as text, found more");
}

#[test]
fn very_many_buckets_are_refused() {
    let many = Histogram { positive_delta: vec![0; 70_000], ..native() };
    let said = render(&page(&[family("h", HISTOGRAM, vec![histogram(&[], many)])]), "h");
    assert_eq!(said, "Syntax: family 1 (h): expected up to 65536 buckets, found more");
}

#[test]
fn nan_in_a_page_is_not_the_stale_marker() {
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let families = [
        family("m", GAUGE, vec![gauge(&[], stale)]),
        family("h", HISTOGRAM, vec![histogram(&[], Histogram { sample_sum: Some(stale), ..native() })]),
    ];
    let mut seen = 0;
    let event = |event: Event<'_>| match event {
        Event::Sample(line) => {
            seen += usize::from(line.value.is_nan() && !crate::model::is_stale_marker(line.value));
        }
        Event::Histogram(line) => seen += usize::from(line.histogram.sum.is_nan() && !line.histogram.is_stale()),
        _ => {}
    };
    crate::exposition::read(&page(&families), Format::Protobuf, |name| ["m", "h"].contains(&name), event)
        .expect("a good page");
    assert_eq!(seen, 2);
}

#[test]
fn content_types_of_protobuf_name_the_message_and_the_encoding() {
    for header in [
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        "application/vnd.google.protobuf;proto=\"io.prometheus.client.MetricFamily\";encoding=delimited;escaping=values",
        "Application/Vnd.Google.Protobuf; Encoding=Delimited",
        "application/vnd.google.protobuf",
    ] {
        assert_eq!(Format::of_content_type(Some(header)), Ok(Format::Protobuf), "{header:?}");
    }
    for (header, expected) in [
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.Metric; encoding=delimited",
            "expected protobuf with proto=io.prometheus.client.MetricFamily, found proto=\"io.prometheus.client.Metric\"",
        ),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=compact-text",
            "expected protobuf with encoding=delimited, found encoding=\"compact-text\"",
        ),
    ] {
        let error = Format::of_content_type(Some(header)).expect_err(header);
        assert_eq!((error.kind, error.to_string()), (ErrorKind::NotExposition, expected.to_owned()));
    }
}

fn any_labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof!["[a-zA-Z_][a-zA-Z0-9_]{0,6}", "\\PC{1,4}"]
        .prop_filter("reserved", |name| !["__name__", "le", "quantile"].contains(&name.as_str()));
    prop::collection::btree_map(name, any::<String>(), 0..4).prop_map(|labels| labels.into_iter().collect())
}

/// A family of any type and what its samples are: name, labels and value.
type Told = Vec<(String, Vec<(String, String)>, f64)>;

fn any_family() -> impl Strategy<Value = (MetricFamily, Told)> {
    let name = prop_oneof!["[a-z_:][a-z0-9_:]{0,8}", "\\PC{1,6}"];
    let numbers = prop::collection::btree_map(-1000..1000_i32, (any::<f64>(), any::<u32>()), 0..4);
    let metric = (any_labels(), any::<f64>(), any::<u32>(), numbers);
    (name, 0..6_i32, prop::collection::vec(metric, 0..4)).prop_map(|(name, kind, metrics)| {
        let mut told = Vec::new();
        let metrics = metrics.into_iter().map(|(labels, value, count, numbers)| {
            let pairs: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            let mut tell = |suffix: &str, extra: Option<(&str, f64)>, value| {
                let extra = extra.map(|(label, bound)| (label.to_owned(), bound.to_string()));
                told.push((format!("{name}{suffix}"), labels.iter().cloned().chain(extra).collect(), value));
            };
            let numbers: Vec<(f64, (f64, u32))> =
                numbers.iter().map(|(at, number)| (f64::from(*at) / 8.0, *number)).collect();
            match kind {
                COUNTER | GAUGE => {
                    tell("", None, value);
                    if kind == COUNTER { counter(&pairs, value) } else { gauge(&pairs, value) }
                }
                UNTYPED => {
                    tell("", None, value);
                    Metric {
                        label: label_pairs(&pairs),
                        untyped: Some(Untyped { value: Some(value) }),
                        ..Metric::default()
                    }
                }
                SUMMARY => {
                    numbers.iter().for_each(|(at, (value, _))| tell("", Some(("quantile", *at)), *value));
                    tell("_sum", None, value);
                    tell("_count", None, f64::from(count));
                    let quantile =
                        numbers.iter().map(|(at, (value, _))| Quantile { quantile: Some(*at), value: Some(*value) });
                    let summary = SummaryMessage {
                        sample_count: Some(count.into()),
                        sample_sum: Some(value),
                        quantile: quantile.collect(),
                        created_timestamp: None,
                    };
                    Metric { label: label_pairs(&pairs), summary: Some(summary), ..Metric::default() }
                }
                _ => {
                    numbers.iter().for_each(|(at, (_, count))| tell("_bucket", Some(("le", *at)), f64::from(*count)));
                    tell("_bucket", Some(("le", f64::INFINITY)), f64::from(count));
                    tell("_sum", None, value);
                    tell("_count", None, f64::from(count));
                    let bucket = numbers.iter().map(|(at, (_, count))| bucket(*at, (*count).into())).collect();
                    let message = Histogram {
                        sample_count: Some(count.into()),
                        sample_sum: Some(value),
                        bucket,
                        ..Histogram::default()
                    };
                    histogram(&pairs, message)
                }
            }
        });
        let metrics = metrics.collect();
        (family(&name, kind, metrics), told)
    })
}

proptest! {
    #[test]
    fn what_prost_writes_is_read_back(families in prop::collection::vec(any_family(), 0..5)) {
        let bytes = page(&families.iter().map(|(family, _)| family.clone()).collect::<Vec<_>>());
        let mut told = families.iter().flat_map(|(_, told)| told);
        let event = |event: Event<'_>| if let Event::Sample(line) = event {
            let (name, pairs, value) = told.next().expect("no more than was written");
            let (read, read_labels) = labels(&line.series).expect("a series that was generated decodes");
            assert_eq!((&read, &*line.name), (name, name.as_str()));
            let as_number = |name: &str, value: &str| match name {
                "le" | "quantile" => value.parse::<f64>().expect("a number").to_string(),
                _ => value.to_owned(),
            };
            let read_labels: Vec<(String, String)> = read_labels.iter().map(|(name, value)| (name.to_owned(), as_number(name, value))).collect();
            let expected = Labels::new(pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.as_str(), value.as_str())));
            assert_eq!(read_labels, expected.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>());
            assert!(line.value.to_bits() == value.to_bits() || line.value.is_nan() && value.is_nan());
        };
        let summary = crate::exposition::read(&bytes, Format::Protobuf, |_| true, event).expect("a good page");
        prop_assert_eq!(told.next(), None);
        prop_assert_eq!(summary.wanted, families.iter().map(|(_, told)| told.len()).sum::<usize>());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = crate::exposition::read(&bytes, Format::Protobuf, |_| true, |_| {});
    }

    #[test]
    fn no_damage_makes_the_reader_panic(families in prop::collection::vec(any_family(), 1..4), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut families: Vec<_> = families.into_iter().map(|(family, _)| family).collect();
        families.push(family("h", HISTOGRAM, vec![histogram(&[("a", "b")], native())]));
        let mut bytes = page(&families);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut count = 0;
        let _ = crate::exposition::read(&bytes, Format::Protobuf, |_| true, |event| if let Event::Sample(line) = event {
            assert!(!matches!(labels(&line.series), Err(crate::exposition::LabelError::Syntax(_))), "{}", line.series);
            count += 1;
        });
        prop_assert!(count <= bytes.len());
    }
}
