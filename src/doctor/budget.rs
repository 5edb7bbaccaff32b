//! What an examination may take: time in all, and bytes of each answer. The service of a client goes in, and one that
//! keeps the bounds comes out. What answers may be ill, or no kube-apiserver at all.

use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http_body_util::Limited;
use hyper::{Request, Response};
use kube::client::Body;
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

/// Puts the bounds around the service of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    deadline: Instant,
}

/// A service within bounds.
#[derive(Clone, Debug)]
pub(super) struct Budgeted<S> {
    inner: S,
    deadline: Instant,
}

/// Nothing more is asked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the examination has taken more than {} s, after which nothing more is asked", TIME_MAX.as_secs())]
pub(super) struct Spent;

/// A cluster that is well is examined in seconds; who waits for longer has something else to find out.
pub(super) const TIME_MAX: Duration = Duration::from_secs(90);

/// All autoscalers of the largest clusters have half of it.
pub(super) const BODY_BYTES_MAX: usize = 64 << 20;

// === impl Budget ===

impl Budget {
    pub(super) fn from(now: Instant) -> Self {
        Self { deadline: now + TIME_MAX }
    }
}

impl<S> Layer<S> for Budget {
    type Service = Budgeted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Budgeted { inner, deadline: self.deadline }
    }
}

// === impl Budgeted ===

impl<S, B> Service<Request<Body>> for Budgeted<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<Limited<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if Instant::now() >= self.deadline {
            return Box::pin(async { Err(Spent.into()) });
        }
        let answer = self.inner.call(request);
        Box::pin(async { Ok(answer.await?.map(|body| Limited::new(body, BODY_BYTES_MAX))) })
    }
}
