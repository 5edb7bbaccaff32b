//! Whether a request gets in: behind the rates of addresses, who asks; behind the rates of users, whether that user may.
//!
//! It is one layer: each layer costs an allocation and a copy of what it stands before, for every request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::serving::authentication::Authentication;
use crate::serving::authorization::Authorization;
use crate::serving::rate_limits::RateLimits;

/// All that stands before the router in a cluster. Clones share it.
#[derive(Clone)]
pub struct Gate(Arc<Steps>);

struct Steps {
    limits: RateLimits,
    authentication: Authentication,
    authorization: Authorization,
}

/// Middleware: a request behind it may be made, has an `Arc<User>` among its extensions, and no credentials any more.
pub async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match gate.admit(&mut request).await {
        Ok(()) => next.run(request).await,
        Err(refused) => *refused,
    }
}

// === impl Gate ===

impl Gate {
    pub fn new(limits: RateLimits, authentication: Authentication, authorization: Authorization) -> Self {
        Self(Arc::new(Steps { limits, authentication, authorization }))
    }

    async fn admit(&self, request: &mut Request) -> Result<(), Box<Response>> {
        let Steps { limits, authentication, authorization } = &*self.0;
        let attempt = limits.admit_attempt(authentication, request)?;
        let user = authentication.user(request).await.map_err(|refusal| {
            attempt.iter().for_each(|attempt| attempt.fail(refusal));
            Box::new(authentication.answer(refusal))
        })?;
        // It was judged.
        drop(attempt);
        limits.admit_user(&user, request)?;
        authorization.admit(&user, request.method(), request.uri()).await?;
        request.extensions_mut().insert(user);
        Ok(())
    }
}
