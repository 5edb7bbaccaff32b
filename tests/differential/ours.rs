//! Plimsoll's side: its client, its reader, its labels.

use std::time::Duration;

use plimsoll::client::{Client, Request};
use plimsoll::config::ClientConfig;
use plimsoll::exposition::{self, Event, Format};

use super::reading::{Content, Reading, Sample};
use crate::harness::install_crypto;
use reqwest::header::{HeaderMap, HeaderValue};

// === Plimsoll ===

/// What Plimsoll says of the pages `/0`, `/1` and so on.
pub async fn readings(address: &str, count: usize) -> Vec<Reading> {
    install_crypto();
    let client = Client::new(ClientConfig::default());
    let request = Request {
        accept: HeaderValue::from_static(
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        ),
        headers: HeaderMap::new(),
        timeout: Duration::from_secs(20),
        body_size_max: 64 << 20,
    };
    let mut readings = Vec::new();
    for number in 0..count {
        let page = client.get(&format!("http://{address}/{number}"), &request).await.expect("a page");
        readings.push(match read(page.content_type.as_deref(), &page.body) {
            Ok(content) => Reading::Read(content),
            Err(message) => Reading::Refused(message),
        });
    }
    readings
}

fn read(content_type: Option<&str>, body: &[u8]) -> Result<Content, String> {
    let format = Format::of_content_type(content_type).map_err(|error| error.to_string())?;
    let (mut content, mut lines) = (Content::default(), Vec::new());
    let event = |event: Event<'_>| {
        if let Event::Type { family, kind } = event {
            content.types.insert(family.into_owned(), kind.name().to_owned());
        } else if let Event::Sample(line) = event {
            lines.push((line.series.into_owned(), line.value, line.timestamp));
        }
    };
    content.lines = exposition::read(body, format, |_| true, event).map_err(|error| error.to_string())?.samples;
    content.types.retain(|_, kind| kind != "unknown");
    for (series, value, timestamp) in lines {
        let (name, labels) = exposition::labels(&series).map_err(|error| error.to_string())?;
        let labels = labels.iter().chain([("__name__", name.as_str())]);
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        content.samples.insert(Sample::new(labels, value, timestamp.map(|time| time.0)));
    }
    Ok(content)
}
