//! How a watch stands. In: its news. Out: whether what it says is known, and for how long it has failed.

use super::failure::{Cause, Failure};
use super::watch::{News, Scope};
use crate::model::Timestamp;

/// How one watch stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// Whether all objects there are were listed, be it long ago.
    pub is_listed: bool,
    /// What is wrong, and since when.
    pub failure: Option<(Timestamp, Failure)>,
    /// Whether the server has said once that it does not serve a kind whose objects were listed: it may be starting.
    is_doubted: bool,
}

// === impl State ===

impl State {
    /// Takes news. Returns whether the objects are gone because their kind is.
    pub(super) fn take(&mut self, scope: &Scope, news: &News, now: Timestamp) -> bool {
        match news {
            News::Object(_) | News::Deleted(_) => {}
            News::Listed(_) => *self = Self { is_listed: true, ..Self::default() },
            News::Answered if self.cause() == Some(Cause::Garbled) => {}
            News::Answered => (self.failure, self.is_doubted) = (None, false),
            // The list that follows is part of the way a watch works.
            News::Failed(failure) if failure.cause == Cause::Expired => {}
            News::Failed(failure) => return self.fail(scope, failure, now),
        }
        false
    }

    /// Whether an answer was had: a list, or that there is none for us. Silence is no answer.
    pub(super) fn is_settled(&self) -> bool {
        self.is_listed || matches!(self.cause(), Some(Cause::Forbidden | Cause::Absent))
    }

    /// Whether the objects are known and followed.
    pub(super) fn is_up(&self) -> bool {
        self.is_listed && self.failure.is_none()
    }

    pub(super) fn cause(&self) -> Option<Cause> {
        self.failure.as_ref().map(|(_, failure)| failure.cause)
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
    use crate::discovery::kubernetes::index::Kind;

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
        assert!(state.is_settled() && !state.is_up() && !gone);
        assert_eq!(state.failure.map(|(since, _)| since), Some(Timestamp(1000)));
    }

    #[test]
    fn silence_is_no_answer_and_a_refusal_is_one() {
        assert!(!after(Kind::Pod, &[failed(Cause::Silent)]).0.is_settled());
        assert!(!after(Kind::Pod, &[failed(Cause::Refused)]).0.is_settled());
        assert!(after(Kind::Pod, &[failed(Cause::Forbidden)]).0.is_settled());
        assert!(after(Kind::PodMonitor, &[failed(Cause::Absent)]).0.is_settled());
    }

    #[test]
    fn monitors_are_gone_when_their_kind_is_twice_not_there() {
        let gone = [News::Listed([].into()), failed(Cause::Absent), failed(Cause::Absent)];
        let (state, is_gone) = after(Kind::PodMonitor, &gone);
        assert!(is_gone && state.is_settled() && !state.is_up());
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
