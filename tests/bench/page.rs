//! Pages of pretended pods: the same text for all, with numbers of fixed width that differ at every scrape.

use std::fmt::Write as _;

/// A rendered answer with the places of its numbers.
pub struct Page {
    answer: Vec<u8>,
    /// Start of each number that changes, with its rank: the larger the rank, the larger the number.
    places: Vec<(usize, u64)>,
}

/// How much a page holds besides what is wanted.
#[derive(Clone, Copy)]
pub enum Size {
    /// Some 2 KB: the wanted families and a few more.
    Small,
    /// 100 KB in some 900 lines: also the Go runtime and histograms with labels, of which every fourth number changes.
    Large,
}

/// The families that the definitions of the benchmark want.
pub const WANTED: [&str; 5] = [
    "agent_queue_length",
    "agent_decisions_total",
    "http_requests_total",
    "http_requests_in_flight",
    "model_inference_duration_seconds",
];

const LARGE_SIZE: usize = 100_000;

/// Digits of a number that changes.
const WIDTH: usize = 12;
const PLACE: &str = "############";

const BOUNDS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"];

// === impl Page ===

impl Page {
    pub fn new(size: Size) -> Self {
        let mut body = wanted_families();
        match size {
            Size::Small => runtime_families(&mut body, 12),
            Size::Large => {
                runtime_families(&mut body, 120);
                fill_with_histograms(&mut body);
            }
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = (head + &body).into_bytes();
        let text = std::str::from_utf8(&answer).expect("just a String");
        let places = text.match_indices(PLACE).enumerate().map(|(rank, (at, _))| (at, rank as u64)).collect();
        Self { answer, places }
    }

    /// Lines of the page, without the head.
    pub fn lines(&self) -> usize {
        let head = self.answer.windows(4).position(|end| end == b"\r\n\r\n").expect("there is one");
        self.answer[head + 4..].iter().filter(|byte| **byte == b'\n').count()
    }

    /// The answer of a moment: numbers that grow with `tick`, as those of counters do.
    pub fn at(&self, tick: u64) -> Vec<u8> {
        let mut answer = self.answer.clone();
        for (at, rank) in &self.places {
            let mut rest = 100_000_000_000 + rank * 1_000_000 + tick % 1_000_000_000 * (rank + 1);
            for digit in answer[*at..at + WIDTH].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        answer
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "small" => Ok(Self::Small),
            "large" => Ok(Self::Large),
            other => Err(format!("{other} is no size")),
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Small => "small",
            Self::Large => "large",
        })
    }
}

/// 24 series in 5 families.
fn wanted_families() -> String {
    let mut body = String::new();
    family(&mut body, "agent_queue_length", "gauge");
    for queue in ["ingest", "inference", "dead_letter"] {
        line(&mut body, &format!("agent_queue_length{{queue=\"{queue}\"}}"), PLACE);
    }
    family(&mut body, "agent_decisions_total", "counter");
    for outcome in ["accepted", "refused"] {
        line(&mut body, &format!("agent_decisions_total{{outcome=\"{outcome}\"}}"), PLACE);
    }
    family(&mut body, "http_requests_total", "counter");
    for (method, code) in [("GET", 200), ("GET", 404), ("GET", 500), ("POST", 200), ("POST", 400), ("POST", 500)] {
        line(&mut body, &format!("http_requests_total{{method=\"{method}\",code=\"{code}\"}}"), PLACE);
    }
    family(&mut body, "http_requests_in_flight", "gauge");
    line(&mut body, "http_requests_in_flight", PLACE);
    histogram(&mut body, "model_inference_duration_seconds", "model=\"small\"", true);
    body
}

fn runtime_families(body: &mut String, families: usize) {
    for i in 0..families {
        let name = format!("go_runtime_figure_{i:03}_bytes");
        family(body, &name, "gauge");
        line(body, &name, if i % 4 == 0 { PLACE } else { "1.34217728e+08" });
    }
}

fn fill_with_histograms(body: &mut String) {
    for route in 0.. {
        let name = format!("http_server_route_{:02}_duration_seconds", route / 8);
        let labels = format!("method=\"GET\",route=\"/api/v1/resources/{route:03}\",code=\"200\"");
        histogram(body, &name, &labels, route % 4 == 0);
        if body.len() > LARGE_SIZE {
            return;
        }
    }
}

fn histogram(body: &mut String, name: &str, labels: &str, changes: bool) {
    family(body, name, "histogram");
    for (i, bound) in BOUNDS.iter().enumerate() {
        let number = if changes { PLACE.to_owned() } else { (i * 1017).to_string() };
        line(body, &format!("{name}_bucket{{{labels},le=\"{bound}\"}}"), &number);
    }
    for suffix in ["sum", "count"] {
        line(body, &format!("{name}_{suffix}{{{labels}}}"), if changes { PLACE } else { "11187" });
    }
}

/// The head of a family, unless the page ends with one of its series: then it goes on.
fn family(body: &mut String, name: &str, kind: &str) {
    if body.lines().last().is_none_or(|last| !last.starts_with(name)) {
        writeln!(body, "# HELP {name} What {name} tells about the program.\n# TYPE {name} {kind}").expect("a String");
    }
}

fn line(body: &mut String, series: &str, number: &str) {
    writeln!(body, "{series} {number}").expect("a String");
}
