//! Plain HTTP/1.1 to targets, which most targets in a cluster speak.
//!
//! In goes a URL, out comes what [`super::Client::get`] promises, or `None` for what is left to the pooled client: other
//! URLs, names (which may have several addresses to try), connections that cannot be made, redirects, answers that are
//! no HTTP.

use std::net::IpAddr;

use reqwest::Url;
use tokio::net::TcpStream;

use super::connection::{Answered, Idle, Place, exchange};
use super::{Page, Request};
use crate::storage::Failure;

/// The idle connections.
#[derive(Default)]
pub(super) struct Connections(Idle<TcpStream>);

// === impl Connections ===

impl Connections {
    /// Fetches a page; the caller watches the time.
    pub(super) async fn get(&self, url: &str, request: &Request) -> Option<Result<Page, Failure>> {
        let place = place(url)?;
        let mut answered = None;
        if let Some(stream) = self.0.take(&place.authority) {
            // The target may have closed it meanwhile. Then another one is tried.
            answered = exchange(stream, &place, false, request).await.ok();
        }
        let Answered { page, stream } = match answered {
            Some(answered) => answered,
            None => exchange(place.connect().await.ok()?, &place, false, request).await.ok()?,
        };
        if let Some(stream) = stream {
            self.0.keep(place.authority, stream);
        }
        Some(page)
    }
}

/// `None` for URLs that are not plain HTTP to an IP address, and for those with credentials.
fn place(url: &str) -> Option<Place> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
    url.host_str()?.trim_matches(['[', ']']).parse::<IpAddr>().ok()?;
    Place::of(&url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_url_leads_to_an_authority_and_a_path() {
        let check = |url: &str, want: Option<(&str, &str)>| {
            let place = place(url);
            let found = place.as_ref().map(|place| (place.authority.as_str(), place.path.as_str()));
            assert_eq!(found, want, "{url}");
        };
        check("http://10.0.0.1:9090/metrics?a=b", Some(("10.0.0.1:9090", "/metrics?a=b")));
        check("http://[::1]/metrics", Some(("[::1]:80", "/metrics")));
        check("http://10.0.0.1", Some(("10.0.0.1:80", "/")));
        check("http://10.0.0.1/../a b#c", Some(("10.0.0.1:80", "/a%20b")));
        check("http://web/", None);
        check("https://h/", None);
        check("http://u:p@10.0.0.1/", None);
        check("h", None);
    }
}
