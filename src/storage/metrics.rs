//! Own metrics of the storage, counted when they are asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::storage::Storage;

impl Collector for Storage {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (_, series) = self.size();
        let gauge = ConstGauge::new(series as i64);
        let help = "Wanted series with a window of samples.";
        gauge.encode(encoder.encode_descriptor("storage_series", help, None, gauge.metric_type())?)
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (targets, series) = self.size();
        write!(f, "Storage {{ targets: {targets}, series: {series} }}")
    }
}
