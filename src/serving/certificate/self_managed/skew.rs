//! How far the own clock is from the kube-apiserver's, which is the clock that certificates are judged by. Asked before
//! each write: a replica with another clock would find what the others have made ended, or not begun, and write it anew.

use std::time::Duration;

use kube::Client;
use kube::client::Body;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config::with_causes;
use crate::model::Timestamp;
use crate::serving::certificate::object_watch::REQUEST_TIMEOUT;

/// What a certificate is valid for before it is made is more than this.
const SKEW_MAX: Duration = Duration::from_secs(300);

/// Everybody may read it, and its headers come with a refusal too.
const PATH: &str = "/version";

/// Whether the clocks agree, as far as matters. A server that does not say its time, as behind some proxy, is no reason to
/// let certificates end.
///
/// # Errors
/// Why nothing is to be written, on one line.
pub(super) async fn check(client: &Client, clock: &Clock) -> Result<(), String> {
    let request = hyper::Request::get(PATH).body(Body::empty()).expect("a path");
    let answer = match timeout(REQUEST_TIMEOUT, client.send(request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Err(format!("the kube-apiserver cannot be asked for its time: {}", with_causes(&error)));
        }
        Err(_) => return Err(format!("the kube-apiserver does not say its time within {REQUEST_TIMEOUT:?}")),
    };
    let date = answer.headers().get(hyper::header::DATE).and_then(|date| date.to_str().ok());
    date.and_then(read).map_or(Ok(()), |theirs| compare(clock.now(), theirs))
}

/// Reads the time of an HTTP header.
fn read(date: &str) -> Option<Timestamp> {
    let read = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(Timestamp(read.as_millisecond()))
}

fn compare(ours: Timestamp, theirs: Timestamp) -> Result<(), String> {
    let (skew, word) = if ours > theirs { (ours.since(theirs), "ahead of") } else { (theirs.since(ours), "behind") };
    if skew <= SKEW_MAX {
        return Ok(());
    }
    // In minutes, so that the text stays the same while nothing changes.
    let (minutes, max) = (skew.as_secs().div_ceil(60), SKEW_MAX.as_secs() / 60);
    Err(format!(
        "the clock here is {minutes} min {word} the kube-apiserver's: while it is more than {max} min, nothing is written; \
         set the clock of this node"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_minutes_and_not_by_more() {
        let theirs = read("Sun, 06 Nov 1994 08:49:37 GMT").expect("the example of RFC 9110");
        assert_eq!(theirs, Timestamp(784_111_777_000));
        for (seconds, words) in
            [(-301, "6 min behind the"), (-300, ""), (0, ""), (300, ""), (86_400, "1440 min ahead of")]
        {
            let said = compare(Timestamp(theirs.0 + seconds * 1000), theirs).err().unwrap_or_default();
            assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{seconds}: {said}");
        }
        assert_eq!(read("tomorrow"), None);
    }
}
