//! How much of its smallest number of replicas a service needs at a moment of a day of two minutes.

use std::f64::consts::TAU;

/// Seconds that a day takes.
pub const DAY_SECONDS: f64 = 120.0;

/// At about 1 for most of the day, and once far above it. Services have days of their own, `phase` of a day apart.
pub fn demand(phase: f64, now: f64) -> f64 {
    let day = now / DAY_SECONDS + phase;
    let wave = 1.0 + 0.35 * (TAU * day).sin() + 0.08 * (TAU * day * 5.0 + phase).sin();
    // From nothing to 1 and back within a quarter of the day.
    let spike = (1.0 - ((day.fract() - 0.55).abs() / 0.125)).max(0.0);
    wave + 0.9 * spike
}
