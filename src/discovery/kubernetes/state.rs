//! How a watch stands. In: its news. Out: whether what it says is known, and for how long it has failed.

use std::collections::BTreeMap;

use super::failure::{Cause, Failure};
use super::index::ObjectName;
use super::watch::{News, Scope};
use crate::model::Timestamp;

/// How one watch stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// Whether all objects there are were listed, be it long ago.
    pub is_listed: bool,
    /// What is wrong, and since when.
    pub failure: Option<(Timestamp, Failure)>,
    /// Objects whose last state cannot be read, and why; what was known of them before stays.
    pub unreadable: BTreeMap<ObjectName, String>,
    /// Whether the server has said once that it does not serve a kind whose objects were listed: it may be starting.
    is_doubted: bool,
}

/// Objects that cannot be read are counted up to here.
const UNREADABLE_MAX: usize = 100;

// === impl State ===

impl State {
    /// Takes news. Returns whether the objects are gone because their kind is.
    pub(super) fn take(&mut self, scope: &Scope, news: &News, now: Timestamp) -> bool {
        match news {
            News::Object(object) => self.forgive(|| object.name()),
            News::Deleted(name) => self.forgive(|| name.clone()),
            News::Unreadable(name, why) => self.blame(name, why),
            News::Listed(listed) => {
                self.unreadable.retain(|name, _| listed.contains(name));
                (self.is_listed, self.failure, self.is_doubted) = (true, None, false);
            }
            News::Answered if self.cause() == Some(Cause::Garbled) => {}
            News::Answered => (self.failure, self.is_doubted) = (None, false),
            // The list that follows is part of the way a watch works.
            News::Failed(failure) if failure.cause == Cause::Expired => {}
            News::Failed(failure) => return self.fail(scope, failure, now),
        }
        false
    }

    /// Whether an answer was had: a list, or that there is none for us. Silence is no answer.
    pub(super) fn has_answered(&self) -> bool {
        self.is_listed || matches!(self.cause(), Some(Cause::Forbidden | Cause::Absent))
    }

    /// Whether there is nothing that a list would have told: there was one, or the cluster does not have the kind and
    /// need not.
    pub(super) fn is_complete(&self, scope: &Scope) -> bool {
        self.is_listed || self.is_absent(scope)
    }

    /// Whether the cluster does not have the kind and need not.
    pub(super) fn is_absent(&self, scope: &Scope) -> bool {
        !self.is_listed && scope.kind.is_optional() && self.cause() == Some(Cause::Absent)
    }

    /// Whether the objects are known and followed.
    pub(super) fn is_up(&self) -> bool {
        self.is_listed && self.failure.is_none()
    }

    pub(super) fn cause(&self) -> Option<Cause> {
        self.failure.as_ref().map(|(_, failure)| failure.cause)
    }

    /// An object is as it should be, or gone.
    fn forgive(&mut self, name: impl FnOnce() -> ObjectName) {
        if !self.unreadable.is_empty() {
            self.unreadable.remove(&name());
        }
    }

    fn blame(&mut self, name: &ObjectName, why: &str) {
        if self.unreadable.len() < UNREADABLE_MAX {
            self.unreadable.insert(name.clone(), why.to_owned());
        }
    }

    fn fail(&mut self, scope: &Scope, failure: &Failure, now: Timestamp) -> bool {
        let is_absent = failure.cause == Cause::Absent && scope.kind.is_optional();
        if is_absent && self.is_listed && !self.is_doubted {
            self.is_doubted = true;
            return false;
        }
        let is_gone = is_absent && self.is_listed;
        self.is_listed &= !is_absent;
        let since = self.failure.as_ref().filter(|(_, before)| before.cause == failure.cause).map(|(since, _)| *since);
        self.failure = Some((since.unwrap_or(now), failure.clone()));
        is_gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::kubernetes::index::{Kind, Watched};

    fn failed(cause: Cause) -> News {
        News::Failed(Failure { cause, text: "text".into() })
    }

    /// The state of a watch after news, and whether one of them took the objects away.
    fn after(kind: Kind, news: &[News]) -> (State, bool) {
        let (mut state, mut gone) = (State::default(), false);
        let scope = Scope { kind, namespace: None, name: None };
        for (second, news) in news.iter().enumerate() {
            gone |= state.take(&scope, news, Timestamp(second as i64 * 1000));
        }
        (state, gone)
    }

    #[test]
    fn a_server_that_is_away_keeps_what_was_listed_and_says_since_when() {
        let news = [News::Listed([].into()), failed(Cause::Silent), failed(Cause::Silent)];
        let (state, gone) = after(Kind::Pod, &news);
        assert!(state.has_answered() && !state.is_up() && !gone);
        assert_eq!(state.failure.map(|(since, _)| since), Some(Timestamp(1000)));
    }

    #[test]
    fn silence_is_no_answer_and_a_refusal_is_one() {
        assert!(!after(Kind::Pod, &[failed(Cause::Silent)]).0.has_answered());
        assert!(!after(Kind::Pod, &[failed(Cause::Refused)]).0.has_answered());
        assert!(after(Kind::Pod, &[failed(Cause::Forbidden)]).0.has_answered());
        assert!(after(Kind::PodMonitor, &[failed(Cause::Absent)]).0.has_answered());
    }

    #[test]
    fn only_a_list_or_a_kind_that_need_not_be_there_tells_everything() {
        let is_complete =
            |kind, news: &[News]| after(kind, news).0.is_complete(&Scope { kind, namespace: None, name: None });
        for cause in [Cause::Silent, Cause::Refused, Cause::Forbidden, Cause::Absent, Cause::Garbled] {
            assert!(!is_complete(Kind::Pod, &[failed(cause)]), "{cause:?}");
            assert_eq!(is_complete(Kind::PodMonitor, &[failed(cause)]), cause == Cause::Absent, "{cause:?}");
            assert!(is_complete(Kind::Pod, &[News::Listed([].into()), failed(cause)]), "{cause:?}: it was listed once");
        }
    }

    #[test]
    fn an_object_is_unreadable_until_it_is_read_or_gone() {
        let name = |name: &str| ("ns".to_owned(), name.to_owned());
        let unreadable = |of: &str| News::Unreadable(name(of), "why".into());
        let readable: crate::discovery::kubernetes::sparse::Pod =
            serde_json::from_value(serde_json::json!({"metadata": {"namespace": "ns", "name": "b"}})).expect("a pod");
        let news = [
            unreadable("a"),
            unreadable("b"),
            unreadable("c"),
            unreadable("d"),
            News::Listed([name("a"), name("b"), name("c")].into()),
            News::Object(Box::new(Watched::Pod(readable))),
            News::Deleted(name("c")),
        ];
        let (state, _) = after(Kind::Pod, &news);
        assert_eq!(state.unreadable, [(name("a"), "why".to_owned())].into());
        assert!(state.is_up(), "the others are followed");
        let many: Vec<_> = (0..2 * UNREADABLE_MAX).map(|number| unreadable(&number.to_string())).collect();
        assert_eq!(after(Kind::Pod, &many).0.unreadable.len(), UNREADABLE_MAX);
    }

    #[test]
    fn monitors_are_gone_when_their_kind_is_twice_not_there() {
        let gone = [News::Listed([].into()), failed(Cause::Absent), failed(Cause::Absent)];
        let (state, is_gone) = after(Kind::PodMonitor, &gone);
        assert!(is_gone && state.has_answered() && !state.is_up());
        assert!(!after(Kind::PodMonitor, &gone[..2]).1);
        let starting = [News::Listed([].into()), failed(Cause::Absent), News::Answered, failed(Cause::Absent)];
        assert!(!after(Kind::PodMonitor, &starting).1, "a server that starts serves its kinds one by one");
    }

    #[test]
    fn pods_are_never_gone_because_a_server_does_not_serve_them() {
        let (state, gone) = after(Kind::Pod, &[News::Listed([].into()), failed(Cause::Absent), failed(Cause::Absent)]);
        assert!(!gone && state.is_listed && !state.is_up());
    }

    #[test]
    fn an_answer_mends_all_but_one_that_could_not_be_read() {
        let listed = || News::Listed([].into());
        assert!(after(Kind::Pod, &[listed(), failed(Cause::Silent), News::Answered]).0.is_up());
        assert!(!after(Kind::Pod, &[listed(), failed(Cause::Garbled), News::Answered]).0.is_up());
        assert!(after(Kind::Pod, &[listed(), failed(Cause::Garbled), News::Answered, listed()]).0.is_up());
        assert!(after(Kind::Pod, &[listed(), failed(Cause::Expired)]).0.is_up());
    }
}
