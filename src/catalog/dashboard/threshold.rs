//! From which number on something is bad, as colours and as lines.

use serde_json::{Value, json};

use crate::catalog::dashboard::Color;

/// Colours by number: the first is for all numbers below the second's.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    lowest: Color,
    /// Ascending.
    steps: Vec<(f64, Color)>,
}

// === impl Thresholds ===

impl Thresholds {
    /// Always of this colour.
    pub fn always(color: Color) -> Self {
        Self { lowest: color, steps: Vec::new() }
    }

    /// Bad when high.
    pub fn above(warning: f64, critical: f64) -> Self {
        Self { lowest: Color::Good, steps: vec![(warning, Color::Warning), (critical, Color::Critical)] }
    }

    /// Bad when low.
    pub fn below(warning: f64, critical: f64) -> Self {
        Self { lowest: Color::Critical, steps: vec![(critical, Color::Warning), (warning, Color::Good)] }
    }

    /// Of another colour from here on.
    ///
    /// # Panics
    /// When steps do not ascend; they are written in the program, or come in order from a configuration.
    pub fn then(mut self, from: f64, color: Color) -> Self {
        assert!(self.steps.last().is_none_or(|(last, _)| *last <= from), "thresholds ascend, and {from} does not");
        self.steps.push((from, color));
        self
    }

    /// From where on it is bad when high.
    pub(super) fn first_bad_above(&self) -> Option<f64> {
        let is_bad = |color: &Color| matches!(color, Color::Warning | Color::Critical);
        let bad = self.steps.iter().find(|(_, color)| is_bad(color)).map(|(from, _)| *from);
        bad.filter(|_| !is_bad(&self.lowest))
    }

    pub(super) fn json(&self) -> Value {
        let lowest = json!({"color": self.lowest.name(), "value": null});
        let steps = self.steps.iter().map(|(from, color)| json!({"color": color.name(), "value": from}));
        let steps: Vec<_> = [lowest].into_iter().chain(steps).collect();
        json!({"mode": "absolute", "steps": steps})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad_when_low_ends_good() {
        let expected = json!([
            {"color": "red", "value": null}, {"color": "orange", "value": 0.5}, {"color": "green", "value": 0.9}
        ]);
        assert_eq!(Thresholds::below(0.9, 0.5).json()["steps"], expected);
    }

    #[test]
    fn where_it_becomes_bad_is_the_first_step_that_is() {
        assert_eq!(Thresholds::above(0.8, 0.9).first_bad_above(), Some(0.8));
        assert_eq!(Thresholds::below(0.9, 0.8).first_bad_above(), None);
        let pressure = Thresholds::always(Color::Measured).then(0.9, Color::Good).then(1.1, Color::Warning);
        assert_eq!(pressure.first_bad_above(), Some(1.1));
    }

    #[test]
    #[should_panic(expected = "thresholds ascend, and 1 does not")]
    fn thresholds_that_do_not_ascend_are_refused() {
        drop(Thresholds::always(Color::Good).then(2.0, Color::Warning).then(1.0, Color::Critical));
    }
}
