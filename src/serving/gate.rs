//! Whether a request gets in: behind the rates of addresses, who asks; behind the rates of users, whether that user may.
//!
//! It is no layer of its own: each layer costs allocations and a copy of what it stands before, for every request.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use crate::serving::authentication::{Authentication, Shown, User};
use crate::serving::authorization::Authorization;
use crate::serving::rate_limits::{self, RateLimits};

/// All that stands before the router in a cluster. Clones share it.
#[derive(Clone)]
pub struct Gate(Arc<Steps>);

struct Steps {
    limits: RateLimits,
    authentication: Authentication,
    authorization: Authorization,
}

// === impl Gate ===

impl Gate {
    pub fn new(limits: RateLimits, authentication: Authentication, authorization: Authorization) -> Self {
        Self(Arc::new(Steps { limits, authentication, authorization }))
    }

    /// A request that goes on may be made, has an `Arc<User>` among its extensions, and no credentials any more.
    pub async fn pass(&self, mut request: Request, next: Next) -> Response {
        match self.admit(&mut request).await {
            Ok(()) => next.run(request).await,
            Err(refused) => *refused,
        }
    }

    async fn admit(&self, request: &mut Request) -> Result<(), Box<Response>> {
        let Steps { limits, authentication, authorization } = &*self.0;
        let shown = authentication.take(request);
        rate_limits::recognize(request);
        let user = match authentication.known(&shown) {
            Some(user) => user,
            None => self.find(shown, request).await?,
        };
        limits.admit_user(&user, request)?;
        authorization.admit(&user, request.method(), request.uri()).await?;
        request.extensions_mut().insert(user);
        Ok(())
    }

    /// Who has to be found out first.
    async fn find(&self, shown: Shown, request: &mut Request) -> Result<Arc<User>, Box<Response>> {
        let Steps { limits, authentication, .. } = &*self.0;
        let attempt = limits.admit_attempt(&shown, request)?;
        authentication.find(shown).await.map_err(|refusal| {
            attempt.iter().for_each(|attempt| attempt.fail(refusal));
            Box::new(authentication.answer(refusal))
        })
    }
}
