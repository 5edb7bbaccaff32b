//! A small seeded generator, so that one seed always gives the same demo.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): good enough for
//! arrivals and service times, never for secrets.

/// A stream of pseudo-random numbers, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

// === impl Random ===

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `0.0..1.0`.
    pub fn uniform(&mut self) -> f64 {
        // 53 bits: as many as an f64 holds exactly.
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..bound`; 0 for an empty range.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.uniform() * bound as f64) as usize).min(bound.saturating_sub(1))
    }

    /// The number of events of a Poisson process that is expected to have `mean` of them (Knuth's method:
    /// meant for means below about 30, which short steps give).
    pub fn poisson(&mut self, mean: f64) -> usize {
        let limit = (-mean).exp();
        let mut product = self.uniform();
        let mut events = 0;
        while product > limit {
            product *= self.uniform();
            events += 1;
        }
        events
    }

    /// A log-normal time with the given mean and a shape of 0.4: most are near the mean, some take twice as long.
    pub fn duration(&mut self, mean: f64) -> f64 {
        const SHAPE: f64 = 0.4;
        mean * (SHAPE * self.normal() - SHAPE * SHAPE / 2.0).exp()
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(mut draw: impl FnMut(&mut Random) -> f64) -> f64 {
        let mut random = Random::new(1);
        (0..20_000).map(|_| draw(&mut random)).sum::<f64>() / 20_000.0
    }

    #[test]
    fn draws_have_the_mean_they_promise() {
        let check = |name: &str, got: f64, want: f64| assert!((got / want - 1.0).abs() < 0.03, "{name}: {got}");
        check("uniform", mean_of(Random::uniform), 0.5);
        check("poisson", mean_of(|random| random.poisson(2.5) as f64), 2.5);
        check("duration", mean_of(|random| random.duration(0.25)), 0.25);
        check("below", mean_of(|random| random.below(5) as f64), 2.0);
    }

    #[test]
    fn one_seed_gives_one_stream() {
        let draw = |seed| (0..8).map(|_| 0).scan(Random::new(seed), |r, _: i32| Some(r.next_u64())).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
