//! Why there is no answer to a review, from a closed list: what a client is told names nothing of the cluster.

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    #[error("too many others wait for an answer of the kube-apiserver")]
    Busy,
    #[error("the kube-apiserver does not answer in time")]
    Timeout,
    #[error("the kube-apiserver cannot be reached")]
    Connection,
    #[error("the kube-apiserver does not let Plimsoll ask; bind the ClusterRole system:auth-delegator to its account")]
    Forbidden,
    #[error("the kube-apiserver does not take it, with code {0}")]
    Refused(u16),
    #[error("the kube-apiserver answers something else")]
    Unreadable,
}

// === impl Failure ===

impl Failure {
    /// One of each kind; codes are not told apart.
    pub(super) const ALL: [Self; 6] =
        [Self::Busy, Self::Timeout, Self::Connection, Self::Forbidden, Self::Refused(500), Self::Unreadable];

    /// The value of the label `result`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Forbidden => "forbidden",
            Self::Refused(_) => "refused",
            Self::Unreadable => "unreadable",
        }
    }

    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                401 | 403 => Self::Forbidden,
                504 => Self::Timeout,
                code => Self::Refused(code),
            },
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Unreadable,
            _ => Self::Connection,
        }
    }

    /// Whether others are not answered either: not so where too many ask, or the kube-apiserver does not take this one.
    pub(super) fn concerns_all(self) -> bool {
        match self {
            Self::Timeout | Self::Connection | Self::Forbidden | Self::Unreadable => true,
            Self::Refused(code) => code == 429 || code >= 500,
            Self::Busy => false,
        }
    }

    /// Whether another try may be answered.
    pub(super) fn may_pass(self) -> bool {
        match self {
            Self::Timeout | Self::Connection => true,
            Self::Refused(code) => code == 429 || code >= 500,
            Self::Busy | Self::Forbidden | Self::Unreadable => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_is_wrong_for_good_is_not() {
        let check = |code: u16, name: &str, may_pass: bool| {
            let status = kube::core::Status::failure("said", "").with_code(code);
            let failure = Failure::of(&kube::Error::Api(Box::new(status)));
            assert_eq!((failure.name(), failure.may_pass()), (name, may_pass), "{code}");
        };
        check(400, "refused", false);
        check(401, "forbidden", false);
        check(403, "forbidden", false);
        check(404, "refused", false);
        check(422, "refused", false);
        check(429, "refused", true);
        check(500, "refused", true);
        check(503, "refused", true);
        check(504, "timeout", true);
        assert!(!Failure::Busy.may_pass() && !Failure::Unreadable.may_pass());
    }
}
