//! Bearer tokens: where a request has one, and whose it is, which the kube-apiserver says.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};

use crate::clock::Clock;
use crate::config::one_line;
use crate::serving::authentication::{Refusal, User};
use crate::serving::review::{Cache, Failure, Fingerprints, Lane, Pace, Reviews, TOKEN_REVIEWS};

/// A bearer token. It shows itself nowhere.
pub(super) struct Token(String);

/// Finds out whose tokens are. Clones share what was found.
#[derive(Clone)]
pub struct Tokens(Arc<Parts>);

struct Parts {
    reviews: Reviews,
    lane: Lane,
    fingerprints: Fingerprints,
    /// Whose a token is; `None` for one that is nobody's.
    owners: Cache<Option<Arc<User>>>,
}

/// Those of service accounts have 1 KB, those of identity providers with many groups 8 KB.
pub(super) const LENGTH_MAX: usize = 16 * 1024;

/// Who asks is what is to be found out.
const NOBODY: &str = "";

/// Reviews of tokens at a time.
const PLACES: usize = 16;

// === impl Token ===

impl Token {
    /// The token of a request; `None` where it has none. Whoever shows something else, such as a password, has shown
    /// nothing.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let Some(value) = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes) else { return Ok(None) };
        let value = value.trim_ascii();
        let scheme = memchr::memchr(b' ', value).unwrap_or(value.len());
        let (scheme, rest) = value.split_at(scheme);
        let token = rest.strip_prefix(b" ").unwrap_or_default();
        let token = &token[..memchr::memchr(b' ', token).unwrap_or(token.len())];
        if token.is_empty() || !scheme.eq_ignore_ascii_case(b"bearer") {
            return Ok(None);
        }
        // Of what is no graphic character a header value has none but these: spaces, tabs, and bytes beyond ASCII.
        let is_good = token.len() <= LENGTH_MAX && token.is_ascii() && !token.contains(&b'\t');
        let token = is_good.then(|| std::str::from_utf8(token).ok()).flatten().ok_or(Refusal::TokenForm)?;
        Ok(Some(Self(token.to_owned())))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

// === impl Tokens ===

impl Tokens {
    pub fn new(reviews: Reviews, clock: Clock) -> Self {
        let owners = Cache::new(TOKEN_REVIEWS, clock, &reviews.metrics);
        let (lane, fingerprints) = (Lane::new(TOKEN_REVIEWS, PLACES, Pace::USUAL), Fingerprints::new());
        Self(Arc::new(Parts { reviews, lane, fingerprints, owners }))
    }

    /// Whose a token is, where that was found out before.
    pub(super) fn known(&self, token: &Token) -> Option<Arc<User>> {
        self.0.owners.known(self.0.fingerprints.of(token.0.as_bytes()))?
    }

    /// Whose a token is.
    pub(super) async fn user(&self, token: Token) -> Result<Arc<User>, Refusal> {
        let parts = self.0.clone();
        let key = parts.fingerprints.of(token.0.as_bytes());
        let ask = || async move { parts.review(token).await };
        match self.0.owners.get(key, ask).await {
            Ok(Some(user)) => Ok(user),
            Ok(None) => Err(Refusal::Token),
            Err(failure) => Err(Refusal::TokenReview(failure)),
        }
    }
}

// === impl Parts ===

impl Parts {
    async fn review(&self, token: Token) -> Result<Option<Arc<User>>, Failure> {
        let spec = TokenReviewSpec { token: Some(token.0), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = self.reviews.ask(&self.lane, NOBODY, &review).await?;
        Ok(owner(answer.status.unwrap_or_default()).map(Arc::new))
    }
}

/// Nobody is who has no name.
fn owner(status: TokenReviewStatus) -> Option<User> {
    if status.authenticated != Some(true) {
        let why = status.error.unwrap_or_else(|| "no reason is given".into());
        tracing::debug!("a bearer token is refused: {}", one_line(&why));
        return None;
    }
    let user = status.user?;
    let name = user.username.filter(|name| !name.is_empty())?;
    let (uid, groups) = (user.uid.filter(|uid| !uid.is_empty()), user.groups.unwrap_or_default());
    Some(User { name, uid, groups, extra: user.extra.unwrap_or_default() }.authenticated())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    #[test]
    fn a_token_is_the_word_after_the_scheme() {
        let token = |value: &[u8]| {
            let headers = [(header::AUTHORIZATION, HeaderValue::from_bytes(value).expect("a value"))];
            Token::of(&headers.into_iter().collect()).map(|token| token.map(|token| token.0))
        };
        for (value, want) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER abc", Some("abc")),
            (" Bearer abc ", Some("abc")),
            ("Bearer abc def", Some("abc")),
            ("Bearer  abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic YTpi", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(token(value.as_bytes()), Ok(want.map(str::to_owned)), "{value:?}");
        }
        assert_eq!(token("Bearer ü".as_bytes()), Err(Refusal::TokenForm));
        assert_eq!(token(b"Bearer \xff"), Err(Refusal::TokenForm));
        assert_eq!(token(b"Bearer a\tb"), Err(Refusal::TokenForm));
        let long = |length: usize| token(format!("Bearer {}", "a".repeat(length)).as_bytes());
        assert!(long(LENGTH_MAX).is_ok_and(|token| token.is_some()));
        assert_eq!(long(LENGTH_MAX + 1), Err(Refusal::TokenForm));
        assert!(matches!(Token::of(&HeaderMap::new()), Ok(None)));
    }

    #[test]
    fn a_token_does_not_show_itself() {
        assert_eq!(format!("{:?}", Token("secret".into())), "Token(…)");
    }

    #[test]
    fn an_owner_has_a_name_and_was_authenticated() {
        let status = |authenticated: Option<bool>, name: Option<&str>| {
            let user = UserInfo { username: name.map(str::to_owned), ..UserInfo::default() };
            owner(TokenReviewStatus { authenticated, user: Some(user), ..TokenReviewStatus::default() })
        };
        let user = status(Some(true), Some("alice")).expect("a user");
        assert_eq!((&*user.name, user.uid, &*user.groups), ("alice", None, &["system:authenticated".to_owned()][..]));
        for (authenticated, name) in
            [(Some(false), Some("alice")), (None, Some("alice")), (Some(true), Some("")), (Some(true), None)]
        {
            assert_eq!(status(authenticated, name), None, "{authenticated:?} {name:?}");
        }
        let nobody = TokenReviewStatus { authenticated: Some(true), ..TokenReviewStatus::default() };
        assert_eq!(owner(nobody), None);
    }
}
