//! When an object may be written again. What is written and when comes in, whether it may be written again goes out. Who
//! has to write the same again and again has somebody against them, and neither a log nor a kube-apiserver is helped by a
//! write each second. No I/O; `now` is given.

use std::time::Duration;

use tokio::time::Instant;

/// The writes of one object; `W` is what is compared to know that the same was to be written again.
#[derive(Debug)]
pub(super) struct Pace<W> {
    limits: Limits,
    last: Option<Last<W>>,
}

/// Bounds of a pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The longest time from one write to the next.
    pub pause_max: Duration,
    /// After this time without a write, the next is the first again. Longer than `pause_max`.
    pub calm: Duration,
}

#[derive(Debug)]
struct Last<W> {
    what: W,
    at: Instant,
    /// How often in a row the same was written.
    rounds: u32,
}

/// From the first write to the second; then twice as long each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// A person who tries something out writes less often.
const CONTESTED_ROUNDS: u32 = 5;

// === impl Pace ===

impl<W: PartialEq> Pace<W> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, last: None }
    }

    /// Whether this may be written now. What is new always may.
    pub(super) fn allows(&self, what: &W, now: Instant) -> bool {
        self.last.as_ref().is_none_or(|last| last.what != *what || now >= last.at + self.pause(last.rounds))
    }

    pub(super) fn written(&mut self, what: W, now: Instant) {
        let rounds = match &self.last {
            Some(last) if last.what == what && now < last.at + self.limits.calm => last.rounds.saturating_add(1),
            _ => 1,
        };
        self.last = Some(Last { what, at: now, rounds });
    }

    /// How often the same was written, and how long it is left alone for that; `None` when that may be chance.
    pub(super) fn contested(&self, now: Instant) -> Option<(u32, Duration)> {
        let last = self.last.as_ref()?;
        let is_contested = last.rounds >= CONTESTED_ROUNDS && now < last.at + self.limits.calm;
        is_contested.then(|| (last.rounds, self.pause(last.rounds)))
    }

    fn pause(&self, rounds: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(rounds.saturating_sub(1));
        PAUSE_MIN.saturating_mul(doubled).min(self.limits.pause_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { pause_max: Duration::from_secs(300), calm: Duration::from_secs(600) };

    /// Writes the same whenever it may, for this time; gives the seconds at which it did.
    fn fought(pace: &mut Pace<&str>, start: Instant, seconds: u64) -> Vec<u64> {
        let written = (0..seconds).filter(|second| {
            let now = start + Duration::from_secs(*second);
            let may = pace.allows(&"ours", now);
            if may {
                pace.written("ours", now);
            }
            may
        });
        written.collect()
    }

    #[test]
    fn who_is_undone_each_time_writes_ever_less_often_and_says_so() {
        let (mut pace, start) = (Pace::new(LIMITS), Instant::now());
        assert_eq!(fought(&mut pace, start, 8), [0, 1, 3, 7]);
        let now = start + Duration::from_secs(8);
        assert_eq!(pace.contested(now), None);
        assert_eq!(fought(&mut pace, now, 1200), [7, 23, 55, 119, 247, 503, 803, 1103]);
        let now = now + Duration::from_secs(1200);
        assert_eq!(pace.contested(now), Some((12, LIMITS.pause_max)));
    }

    #[test]
    fn after_a_calm_and_for_something_else_it_counts_anew() {
        let (mut pace, start) = (Pace::new(LIMITS), Instant::now());
        fought(&mut pace, start, 60);
        let last = start + Duration::from_secs(31);
        assert!(pace.contested(last).is_some());
        assert!(!pace.allows(&"ours", last) && pace.allows(&"another", last));
        let calm = last + LIMITS.calm;
        assert_eq!(pace.contested(calm), None);
        pace.written("ours", calm);
        assert!(pace.allows(&"ours", calm + PAUSE_MIN));
        pace.written("another", last);
        assert_eq!(pace.contested(last), None);
    }
}
