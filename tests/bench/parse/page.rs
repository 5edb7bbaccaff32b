//! The page that is read: 142 families on 8,700 lines, 1 MB. 38 families of the Go runtime and process, and 104
//! of 13 components with eight families each, six of them histograms.
//!
//! The same call makes the same page. Label values have no braces, commas or equals signs, so prometheus-parse
//! finds every sample; [`Page::escaped`] has backslashes, at which it is wrong about the value and not about the
//! number of samples.

use std::fmt::Write;

/// A page and what a reader has to find in it.
pub struct Page {
    pub text: String,
    pub lines: usize,
    pub samples: usize,
    /// Family names in page order.
    pub families: Vec<String>,
}

/// How the page is written.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Text,
    /// Two labels of every series with escapes.
    Escaped,
    /// With units, start times, an exemplar on every fourth bucket, and the end mark.
    OpenMetrics,
}

struct Writer {
    style: Style,
    page: Page,
    /// State of the generator of values.
    random: u64,
}

const RUNTIME_GAUGES: [&str; 31] = [
    "go_goroutines",
    "go_threads",
    "go_sched_gomaxprocs_threads",
    "go_gc_gogc_percent",
    "go_gc_gomemlimit_bytes",
    "go_memstats_alloc_bytes",
    "go_memstats_buck_hash_sys_bytes",
    "go_memstats_gc_sys_bytes",
    "go_memstats_heap_alloc_bytes",
    "go_memstats_heap_idle_bytes",
    "go_memstats_heap_inuse_bytes",
    "go_memstats_heap_objects",
    "go_memstats_heap_released_bytes",
    "go_memstats_heap_sys_bytes",
    "go_memstats_last_gc_time_seconds",
    "go_memstats_mcache_inuse_bytes",
    "go_memstats_mcache_sys_bytes",
    "go_memstats_mspan_inuse_bytes",
    "go_memstats_mspan_sys_bytes",
    "go_memstats_next_gc_bytes",
    "go_memstats_other_sys_bytes",
    "go_memstats_stack_inuse_bytes",
    "go_memstats_stack_sys_bytes",
    "go_memstats_sys_bytes",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
    "promhttp_metric_handler_requests_in_flight",
];
const RUNTIME_COUNTERS: [&str; 6] = [
    "go_gc_cycles_automatic_gc_cycles",
    "go_memstats_alloc_bytes",
    "go_memstats_frees",
    "go_memstats_mallocs",
    "process_cpu_seconds",
    "process_network_receive_bytes",
];
const COMPONENTS: [&str; 13] = [
    "agent", "billing", "cache", "catalog", "gateway", "index", "ledger", "mailer", "orders", "planner", "queue",
    "search", "storage",
];
const HISTOGRAMS: [&str; 6] =
    ["decision_duration", "handling_time", "queue_wait", "request_duration", "tool_call_duration", "write_latency"];
const BOUNDS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"];
const METHODS: [&str; 7] = ["GetAgent", "ListAgents", "CreateTask", "DeleteTask", "StreamEvents", "Decide", "Watch"];

// === impl Page ===

impl Page {
    pub fn text() -> Self {
        Writer::new(Style::Text).page()
    }

    pub fn escaped() -> Self {
        Writer::new(Style::Escaped).page()
    }

    pub fn openmetrics() -> Self {
        Writer::new(Style::OpenMetrics).page()
    }
}

// === impl Writer ===

impl Writer {
    fn new(style: Style) -> Self {
        let page = Page { text: String::new(), lines: 0, samples: 0, families: Vec::new() };
        Self { style, page, random: 42 }
    }

    fn page(mut self) -> Page {
        self.runtime();
        for component in COMPONENTS {
            for histogram in HISTOGRAMS {
                self.histogram(&format!("{component}_{histogram}_seconds"));
            }
            self.labelled(&format!("{component}_requests"), "counter");
            self.labelled(&format!("{component}_in_flight"), "gauge");
        }
        if self.style == Style::OpenMetrics {
            self.line("# EOF");
        }
        self.page
    }

    fn runtime(&mut self) {
        self.family("go_gc_duration_seconds", "summary");
        for quantile in ["0", "0.25", "0.5", "0.75", "1"] {
            let value = self.value(1_000_000);
            self.sample(&format!("go_gc_duration_seconds{{quantile=\"{quantile}\"}} {:e}", value as f64 / 1e9));
        }
        let (sum, count) = (self.value(1_000_000), self.value(100_000));
        self.sample(&format!("go_gc_duration_seconds_sum {}", sum as f64 / 1e6));
        self.sample(&format!("go_gc_duration_seconds_count {count}"));
        for name in RUNTIME_GAUGES {
            self.family(name, "gauge");
            let value = self.value(900_000_000) as f64;
            let value = if name.ends_with("bytes") { format!("{value:e}") } else { format!("{}", value % 5000.0) };
            self.sample(&format!("{name} {value}"));
        }
        for name in RUNTIME_COUNTERS {
            let total = self.family(name, "counter");
            let value = self.value(1_000_000_000);
            self.sample(&format!("{total} {:e}", value as f64));
        }
    }

    fn histogram(&mut self, name: &str) {
        self.family(name, "histogram");
        for method in METHODS {
            let labels = self.labels(method);
            let mut count = 0;
            for (at, bound) in BOUNDS.iter().enumerate() {
                count += self.value(5000);
                let exemplar = self.style == Style::OpenMetrics && at % 4 == 0;
                let exemplar =
                    if exemplar { format!(" # {{trace_id=\"{:016x}\"}} 0.0042", self.random) } else { String::new() };
                self.sample(&format!("{name}_bucket{{{labels},le=\"{bound}\"}} {count}{exemplar}"));
            }
            let sum = self.value(1_000_000_000) as f64 / 1e6;
            self.sample(&format!("{name}_sum{{{labels}}} {sum}"));
            self.sample(&format!("{name}_count{{{labels}}} {count}"));
            self.created(&format!("{name}_created{{{labels}}}"));
        }
    }

    fn labelled(&mut self, name: &str, kind: &str) {
        let sample = self.family(name, kind);
        for method in METHODS {
            for code in ["OK", "Canceled", "NotFound", "Unavailable"] {
                let (labels, value) = (self.labels(method), self.value(100_000));
                self.sample(&format!("{sample}{{{labels},code=\"{code}\"}} {value}"));
                if kind == "counter" {
                    self.created(&format!("{name}_created{{{labels},code=\"{code}\"}}"));
                }
            }
        }
    }

    fn labels(&self, method: &str) -> String {
        match self.style {
            Style::Escaped => format!(r#"method="a\\b\"{method}\"",path="C:\\srv\\v1\n""#),
            _ => format!("method=\"{method}\",service=\"agents.v1.AgentService\",zone=\"eu-west-1a\""),
        }
    }

    /// Writes the head of a family and returns the name of its samples.
    fn family(&mut self, name: &str, kind: &str) -> String {
        let total = kind == "counter";
        let sample = if total { format!("{name}_total") } else { name.to_owned() };
        let family = if total && self.style != Style::OpenMetrics { &sample } else { name };
        self.line(&format!("# HELP {family} What the service counts under this name since it started."));
        self.line(&format!("# TYPE {family} {kind}"));
        if self.style == Style::OpenMetrics && name.ends_with("_seconds") {
            self.line(&format!("# UNIT {family} seconds"));
        }
        self.page.families.push(sample.clone());
        sample
    }

    /// The start time of a series, which only OpenMetrics has.
    fn created(&mut self, series: &str) {
        if self.style == Style::OpenMetrics {
            self.sample(&format!("{series} 1.732e+09"));
        }
    }

    fn sample(&mut self, line: &str) {
        self.page.samples += 1;
        self.line(line);
    }

    fn line(&mut self, line: &str) {
        self.page.lines += 1;
        writeln!(self.page.text, "{line}").expect("a String takes any text");
    }

    /// A number below `end`, of a linear congruential generator (the constants are Knuth's for MMIX).
    fn value(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % end
    }
}
