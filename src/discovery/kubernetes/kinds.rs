//! Which plural resource the kinds of owners have, as the API of the cluster says it.
//!
//! Only the group version of an owner is asked for, and that again as long as its kind is not there: an API that
//! is registered later is known without a restart, and one that fails (our own may be among them) holds up nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::model::Resources;

/// What is known and what is being asked.
pub(super) struct Kinds {
    client: kube::Client,
    known: Arc<Resources>,
    /// When to ask again for the kinds of an API version.
    open: BTreeMap<Arc<str>, Open>,
    questions: JoinSet<Answer>,
}

/// The kinds of an API version with their plurals.
struct Answer {
    version: Arc<str>,
    kinds: Vec<(Box<str>, Box<str>)>,
}

/// An API version that has not named all kinds that are looked for.
struct Open {
    next: Instant,
    pause: Duration,
}

/// Groups whose kinds have the plural that [`crate::model::GroupResource::of_kind`] gives them.
const REGULAR: [&str; 3] = ["", "apps", "batch"];

/// Kinds that owners have are few; a cluster with more is hostile.
const OPEN_MAX: usize = 1000;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_secs(300);

// === impl Kinds ===

impl Kinds {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { client, known: Arc::default(), open: BTreeMap::new(), questions: JoinSet::new() }
    }

    /// Asks for kinds that are not known; `owners` are API versions with kinds.
    pub(super) fn look_up<'o>(&mut self, owners: impl Iterator<Item = (&'o Arc<str>, &'o Arc<str>)>, now: Instant) {
        let unknown = owners.filter(|(version, kind)| {
            let group = group(version);
            !REGULAR.contains(&group) && !self.known.contains_key(&(group.into(), Box::from(&***kind)))
        });
        let unknown: BTreeSet<Arc<str>> = unknown.map(|(version, _)| version.clone()).collect();
        // Owners come and go for ever.
        self.open.retain(|version, _| unknown.contains(version));
        for version in unknown {
            if self.open.len() >= OPEN_MAX && !self.open.contains_key(&version) {
                continue;
            }
            let open = self.open.entry(version.clone()).or_insert(Open { next: now, pause: PAUSE_MIN });
            if open.next <= now {
                open.next = now + open.pause;
                open.pause = PAUSE_MAX.min(open.pause * 2);
                self.questions.spawn(ask(self.client.clone(), version));
            }
        }
    }

    /// Waits for an answer that says something new, and gives all that is known.
    pub(super) async fn learn(&mut self) -> Arc<Resources> {
        loop {
            let Answer { version, kinds } = match self.questions.join_next().await {
                Some(Ok(answer)) => answer,
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(Err(_)) => continue,
                None => std::future::pending().await,
            };
            let mut known = Resources::clone(&self.known);
            known.extend(kinds.into_iter().map(|(kind, plural)| ((group(&version).into(), kind), plural)));
            if known != *self.known {
                self.known = Arc::new(known);
                return self.known.clone();
            }
        }
    }
}

/// The kinds of an API version with their plurals; none where it is not served or does not answer.
async fn ask(client: kube::Client, version: Arc<str>) -> Answer {
    // An owner reference may say anything; a path is made of what an API version looks like.
    let is_plain = version.split('/').count() == 2
        && version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'/'));
    if !is_plain {
        return Answer { version, kinds: Vec::new() };
    }
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, client.list_api_group_resources(&version)).await;
    let resources = answer.ok().and_then(Result::ok).map(|list| list.resources).unwrap_or_default();
    // A name with a slash is a part of another resource: `rollouts/scale`.
    let whole = resources.into_iter().filter(|resource| !resource.name.contains('/'));
    let kinds = whole.map(|resource| (resource.kind.into(), resource.name.into())).collect();
    Answer { version, kinds }
}

fn group(version: &str) -> &str {
    version.split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, Response};
    use kube::client::Body;
    use tower::BoxError;

    use super::*;

    #[tokio::test]
    async fn owners_of_which_nobody_knows_do_not_keep_others_from_being_asked_for() {
        let service =
            tower::service_fn(|_: Request<Body>| std::future::ready(Ok::<_, BoxError>(Response::new(Body::empty()))));
        let mut kinds = Kinds::new(kube::Client::new(service, "default"));
        let (kind, now): (Arc<str>, _) = ("Odd".into(), Instant::now());
        let odd: Vec<Arc<str>> = (0..2 * OPEN_MAX).map(|number| format!("odd-{number}.example/v1").into()).collect();
        kinds.look_up(odd.iter().map(|version| (version, &kind)), now);
        assert_eq!((kinds.open.len(), kinds.questions.len()), (OPEN_MAX, OPEN_MAX));
        let good: Arc<str> = "example.com/v1".into();
        kinds.look_up([(&good, &kind), (&odd[0], &kind)].into_iter(), now);
        assert_eq!(kinds.open.keys().collect::<Vec<_>>(), [&good, &odd[0]]);
        assert_eq!(kinds.questions.len(), OPEN_MAX + 1, "what was asked a moment ago is not asked again");
    }
}
