//! A classic histogram that observes many durations at once: those of a log-logistic distribution, most near the median and
//! a few several times as long.

/// Upper bounds in seconds, with those among them that are promised: 2 and 5.
const BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0];

/// How quickly the share of longer durations falls; by this the 95th percentile is 2.1 medians and the 99th 3.2.
const SHAPE: f64 = 4.0;

/// Fractions of observations are kept, and not shown.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    buckets: [f64; BOUNDS.len()],
    sum: f64,
    count: f64,
}

// === impl Histogram ===

impl Histogram {
    pub fn observe(&mut self, count: f64, median: f64) {
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += count / (1.0 + (median / bound).powf(SHAPE));
        }
        self.sum += count * median * 1.11;
        self.count += count;
    }

    /// The lines of its series; `labels` is as it stands in braces.
    pub fn lines(&self, name: &str, labels: &str) -> String {
        let bucket =
            |(bound, count): (&f64, &f64)| format!("{name}_bucket{{{labels},le=\"{bound}\"}} {}\n", count.floor());
        let buckets: String = BOUNDS.iter().zip(&self.buckets).map(bucket).collect();
        let count = self.count.floor();
        format!(
            "{buckets}{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n{name}_sum{{{labels}}} {:.3}\n\
             {name}_count{{{labels}}} {count}\n",
            self.sum
        )
    }
}
