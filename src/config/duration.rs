//! Durations in Prometheus' notation, `1m30s` or `500ms`, fractions such as `1.5s` included.

use std::time::Duration;

/// Units from large to small with their length in milliseconds, as in Prometheus' `model.ParseDuration`.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// No duration of a scrape or a window is longer; keeps sums of durations far from overflow.
const LONGEST: Duration = Duration::from_millis(365 * 86_400_000);

/// Reads a duration of whole milliseconds, longer than zero and at most one year.
///
/// # Errors
/// A sentence that says what was expected and what was found.
pub fn parse(text: &str) -> Result<Duration, String> {
    let malformed = || format!("expected a duration such as 15s, 1m30s or 500ms, found {text:?}");
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0.0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(leading(rest, |c| c.is_ascii_digit() || c == '.'));
        let (unit, after) = after.split_at(leading(after, |c| c.is_ascii_alphabetic()));
        let number: f64 = number.parse().map_err(|_| malformed())?;
        // Units stand in descending order, each at most once, as Prometheus demands.
        let (_, millis) = units.find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        total += number * *millis as f64;
        rest = after;
    }
    if text.is_empty() {
        return Err(malformed());
    }
    let duration = Duration::try_from_secs_f64((total.round()) / 1000.0).unwrap_or(Duration::MAX);
    if duration.is_zero() || duration > LONGEST {
        return Err(format!("expected a duration longer than 0s and at most 1y, found {text:?}"));
    }
    Ok(duration)
}

/// Writes a duration as [`parse`] reads it: `90s` becomes `1m30s`. Parts of a millisecond are dropped.
pub fn write(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, millis) in UNITS {
        // Weeks and years read badly in messages; days carry them.
        if rest >= millis && !matches!(unit, "y" | "w") {
            text += &format!("{}{unit}", rest / millis);
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// Length in bytes of the leading part of `text` made of such characters.
fn leading(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, millis: u64) {
        assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
    }

    #[test]
    fn durations_are_read_as_prometheus_writes_them() {
        check("15s", 15_000);
        check("1m30s", 90_000);
        check("500ms", 500);
        check("1d", 86_400_000);
        check("1.5s", 1_500);
        check("0.25h", 900_000);
        check("1h0m5s", 3_605_000);
    }

    #[test]
    fn other_notations_are_refused() {
        for bad in ["", "15", "s", "15 s", "-1s", "30s1m", "1s1s", "1e3s", "1.2.3s", "15sec", "١s", "0s", "0.1ms", "2y"]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for (millis, text) in
            [(15_000, "15s"), (90_000, "1m30s"), (37_500, "37s500ms"), (60_000, "1m"), (864_000_000, "10d")]
        {
            assert_eq!(write(Duration::from_millis(millis)), text);
            check(text, millis);
        }
    }
}
