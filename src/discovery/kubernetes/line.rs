//! The line of one watch to the kube-apiserver: a client that says when the server answers again after a failure.
//!
//! A watch that is taken up again is silent until something happens, be it for hours; that it stands is known from its
//! response alone. Never here: a request that waits for its response for ever, or many a second for the same watch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Request, Response};
use kube::client::Body;
use tokio::time::Instant;
use tower::BoxError;

/// Says over its life whether the server answers. Clones share the content.
#[derive(Clone)]
pub(super) struct Line(Arc<Content>);

struct Content {
    client: kube::Client,
    /// Whether the last thing known of the server is a failure.
    failing: AtomicBool,
    answered: tokio::sync::Notify,
    /// When the last watch was asked for, or is going to be.
    asked: Mutex<Option<Instant>>,
}

/// A kube-apiserver sends the head of a response at once, and a page of a list when it is read from etcd.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A server that ends every watch at once is not asked more often than this.
const WATCH_SPACING: Duration = Duration::from_secs(1);

/// The server took the request, and was silent.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", ANSWER_TIMEOUT.as_secs())]
struct Silence;

// === impl Line ===

impl Line {
    pub(super) fn new(client: kube::Client) -> Self {
        let (failing, asked) = (AtomicBool::new(false), Mutex::default());
        Self(Arc::new(Content { client, failing, answered: tokio::sync::Notify::new(), asked }))
    }

    /// A client over this line.
    pub(super) fn client(&self) -> kube::Client {
        let line = self.clone();
        let service = tower::service_fn(move |request| line.clone().send(request));
        kube::Client::new(service, self.0.client.default_namespace())
    }

    /// From now on an answer is news.
    pub(super) fn failed(&self) {
        self.0.failing.store(true, Ordering::Relaxed);
    }

    /// Waits for the first good answer after [`Self::failed`].
    pub(super) async fn answered(&self) {
        self.0.answered.notified().await;
    }

    async fn send(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
            self.space().await;
        }
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, self.0.client.send(request));
        let response = sent.await.map_err(|_| Silence)??;
        if response.status().is_success() && self.0.failing.swap(false, Ordering::Relaxed) {
            self.0.answered.notify_one();
        }
        Ok(response)
    }

    async fn space(&self) {
        tokio::time::sleep_until(self.next_watch(Instant::now())).await;
    }

    fn next_watch(&self, now: Instant) -> Instant {
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let next = asked.map_or(now, |last| now.max(last + WATCH_SPACING));
        *asked = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_a_server_that_ends_every_watch_at_once_one_a_second_is_asked_for() {
        let service =
            tower::service_fn(|_: Request<Body>| std::future::ready(Ok::<_, BoxError>(Response::new(Body::empty()))));
        let line = Line::new(kube::Client::new(service, "default"));
        let start = Instant::now();
        let mut now = start;
        let asked: Vec<u64> = std::iter::repeat_with(|| {
            now = line.next_watch(now);
            (now - start).as_secs()
        })
        .take(5)
        .collect();
        assert_eq!(asked, [0, 1, 2, 3, 4]);
        let later = now + 10 * WATCH_SPACING;
        assert_eq!(line.next_watch(later), later);
    }
}
