//! One pod: its name, its address and what it has counted since it began.

use super::histogram::Histogram;

#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    /// The replica set it belongs to.
    pub replica_set: String,
    pub instance: String,
    /// Milliseconds since the Unix epoch.
    pub started: i64,
    /// Requests by status code, for each route of the service.
    pub requests: Vec<[f64; 3]>,
    /// Their durations, for each route.
    pub durations: Vec<Histogram>,
    /// Durations of inferences, for each model of the service.
    pub inferences: Vec<Histogram>,
    /// Decisions, by outcome.
    pub decisions: [f64; 3],
    /// Repositories, queries that succeeded, queries that failed.
    pub business: [f64; 3],
    pub cpu_seconds: f64,
    /// Bytes.
    pub memory: f64,
}

pub const CODES: [&str; 3] = ["200", "404", "500"];
pub const OUTCOMES: [&str; 3] = ["approved", "rejected", "escalated"];

// === impl Pod ===

impl Pod {
    /// The pod of this number in the life of a service.
    pub fn new(service: &str, number: u32, address: String, counts: [usize; 2], wall: i64) -> Self {
        let replica_set = format!("{service}-{:08x}", hash(service));
        let suffix = format!("{:05x}", hash(&format!("{service}/{number}")) & 0xf_ffff);
        let [routes, models] = counts;
        Self {
            name: format!("{replica_set}-{suffix}"),
            replica_set,
            instance: address,
            started: wall,
            requests: vec![[0.0; 3]; routes],
            durations: vec![Histogram::default(); routes],
            inferences: vec![Histogram::default(); models],
            decisions: [0.0; 3],
            business: [0.0; 3],
            cpu_seconds: 0.0,
            memory: 0.0,
        }
    }
}

/// FNV-1a, 32 bits.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
