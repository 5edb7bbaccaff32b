//! Rules that a Prometheus evaluates: series it records.

mod recording;
mod slo;

pub use recording::{Recording, Recordings, recordings};
