//! What the process takes of the machine, read when it is asked for: under the names that every program has for it. Where
//! the system does not tell a number (there is no `/proc`), that number is not there.

use std::fmt;
use std::fs;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::model::Timestamp;

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    pub started: Timestamp,
}

// === impl Process ===

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "CPU time of the process in user and system mode.";
        let cpu = ConstCounter::new(cpu().as_secs_f64());
        cpu.encode(encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), cpu.metric_type())?)?;
        let help = "When the process was started, since the Unix epoch.";
        gauge(&mut encoder, "process_start_time", Some(&Unit::Seconds), help, Some(self.started.0 as f64 / 1000.0))?;
        let help = "Memory of the process that is in RAM.";
        gauge(&mut encoder, "process_resident_memory", Some(&Unit::Bytes), help, resident_bytes())?;
        let help = "File descriptors that the process has open.";
        gauge(&mut encoder, "process_open_fds", None, help, open_files())?;
        let most = getrlimit(Resource::Nofile).current.map(|most| most as f64);
        gauge(&mut encoder, "process_max_fds", None, "File descriptors that the process may have open.", most)
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    unit: Option<&Unit>,
    help: &str,
    value: Option<f64>,
) -> Result<(), fmt::Error> {
    let Some(value) = value else { return Ok(()) };
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The line `VmRSS:     1234 kB` of the kernel, whose kB are 1,024 bytes.
fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// Without the one by which the folder is read.
fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_shows() {
        let (files, memory) = (open_files().expect("/proc"), resident_bytes().expect("/proc"));
        let most = getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |most| most as f64);
        // Standard input, output and error; other tests open files meanwhile.
        assert!((3.0..=most).contains(&files), "{files} of {most}");
        assert!((1e6..1e12).contains(&memory), "{memory} bytes");
        let before = cpu();
        while cpu() == before {
            std::hint::black_box(resident_bytes());
        }
    }
}
