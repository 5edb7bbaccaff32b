//! How much work arrives for a service at each moment of a compressed day: a daily shape, noise and one clear spike.
//!
//! Pure: the same seed, service and moment always give the same rate. Nothing here draws, sleeps or reads a clock.

use std::f64::consts::TAU;

use crate::demo::random::Random;

/// Seconds of the demo that one day takes.
pub const DAY_SECONDS: f64 = 120.0;

/// The hour at which the demo begins, so that the spike of the first day is not far away.
const FIRST_HOUR: f64 = 6.0;
/// The spike begins in this part of the demo's day (about 10:50 to 12:00) …
const SPIKE_START_SECONDS: std::ops::Range<f64> = 24.0..30.0;
/// … and takes this long to rise, stay and fall.
const SPIKE_RISE_SECONDS: f64 = 1.5;
const SPIKE_STAY_SECONDS: f64 = 10.0;
const SPIKE_FALL_SECONDS: f64 = 2.0;
/// Largest share by which the noise moves the rate.
const NOISE: f64 = 0.08;

/// What a service is asked to do, in events per second of the demo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// At 02:00, the quietest hour.
    pub night: f64,
    /// At 14:00, the busiest ordinary hour.
    pub noon: f64,
    /// What the spike adds at its height.
    pub spike: f64,
}

/// The seeded course of all days.
#[derive(Clone, Debug)]
pub struct Day {
    seed: u64,
}

/// Time of day, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    /// 1 for the first day.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
}

// === impl Day ===

impl Day {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Events per second for a service, `at` seconds of the demo after its start. `service` keeps the noise of
    /// different services apart.
    pub fn rate(&self, service: u64, demand: Demand, at: f64) -> f64 {
        let shaped = demand.night + (demand.noon - demand.night) * shape(hour(at));
        let rate = shaped * (1.0 + NOISE * self.noise(service, at)) + demand.spike * self.spike(at);
        rate.max(0.0)
    }

    /// How far the spike is up, from 0 to 1.
    pub fn spike(&self, at: f64) -> f64 {
        let day = (at / DAY_SECONDS).floor();
        let since = at - day * DAY_SECONDS - self.spike_start(day as u64);
        let rise = since / SPIKE_RISE_SECONDS;
        let fall = (SPIKE_RISE_SECONDS + SPIKE_STAY_SECONDS + SPIKE_FALL_SECONDS - since) / SPIKE_FALL_SECONDS;
        rise.min(fall).clamp(0.0, 1.0)
    }

    /// Seconds into the given day (0 is the first) at which its spike begins.
    pub fn spike_start(&self, day: u64) -> f64 {
        let mut random = Random::new(self.seed ^ day.wrapping_mul(0xA076_1D64_78BD_642F));
        random.next_u64();
        SPIKE_START_SECONDS.start + (SPIKE_START_SECONDS.end - SPIKE_START_SECONDS.start) * random.uniform()
    }

    /// Smooth noise in `-1.0..=1.0`: waves of unrelated periods with seeded phases.
    fn noise(&self, service: u64, at: f64) -> f64 {
        const PERIODS_SECONDS: [f64; 3] = [2.3, 5.1, 13.7];
        let mut random = Random::new(self.seed ^ service.wrapping_mul(0xE703_7ED1_A0B4_28DB));
        let waves = PERIODS_SECONDS.map(|period| (TAU * (at / period + random.uniform())).sin());
        waves.iter().sum::<f64>() / PERIODS_SECONDS.len() as f64
    }
}

// === impl TimeOfDay ===

impl TimeOfDay {
    /// Without the day: `14:05`.
    pub fn to_minutes(self) -> String {
        format!("{:02}:{:02}", self.hour, self.minute)
    }

    /// The time of day `at` seconds after the start of the demo.
    pub fn at(at: f64) -> Self {
        let minutes = (at / DAY_SECONDS * 1440.0 + FIRST_HOUR * 60.0).max(0.0) as u32;
        Self { day: minutes / 1440 + 1, hour: minutes / 60 % 24, minute: minutes % 60 }
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "day {} {:02}:{:02}", self.day, self.hour, self.minute)
    }
}

fn hour(at: f64) -> f64 {
    (at / DAY_SECONDS * 24.0 + FIRST_HOUR).rem_euclid(24.0)
}

/// 0 at 02:00, 1 at 14:00, with long quiet nights.
fn shape(hour: f64) -> f64 {
    (0.5 - 0.5 * (TAU * (hour - 2.0) / 24.0).cos()).powf(1.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMAND: Demand = Demand { night: 1.0, noon: 10.0, spike: 20.0 };

    fn course(seed: u64) -> Vec<f64> {
        let day = Day::new(seed);
        (0..1200).map(|tenth| day.rate(0, DEMAND, f64::from(tenth) / 10.0)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_day() {
        assert_eq!(course(7), course(7));
        assert_ne!(course(7), course(8));
    }

    #[test]
    fn services_have_their_own_noise() {
        let day = Day::new(7);
        assert_ne!(day.rate(0, DEMAND, 10.0), day.rate(1, DEMAND, 10.0));
    }

    #[test]
    fn each_day_has_one_spike_that_stands_out() {
        for seed in 0..20 {
            let course = course(seed);
            let high: Vec<usize> = (0..course.len()).filter(|i| course[*i] > 2.0 * DEMAND.noon).collect();
            let (first, last) = (high[0], high[high.len() - 1]);
            assert_eq!(last - first + 1, high.len(), "seed {seed}: the spike is in one piece");
            assert!((90..150).contains(&high.len()), "seed {seed}: it lasts {} tenths of a second", high.len());
        }
    }

    #[test]
    fn nights_are_quiet_and_afternoons_busy() {
        let day = Day::new(1);
        let at = |hour: f64| (hour - FIRST_HOUR).rem_euclid(24.0) / 24.0 * DAY_SECONDS;
        assert!(day.rate(0, DEMAND, at(2.0)) < 1.5);
        assert!(day.rate(0, DEMAND, at(16.0)) > 6.0);
    }

    #[test]
    fn the_clock_begins_in_the_morning_and_passes_midnight() {
        let check = |at: f64, want: &str| assert_eq!(TimeOfDay::at(at).to_string(), want);
        check(0.0, "day 1 06:00");
        check(60.0, "day 1 18:00");
        check(100.0, "day 2 02:00");
        check(120.0, "day 2 06:00");
    }
}
