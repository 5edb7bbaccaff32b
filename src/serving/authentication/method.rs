//! By what a user was found.

/// By what a user was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    FrontProxy,
    Certificate,
    Token,
    /// By nothing.
    Anonymous,
}

// === impl Method ===

impl Method {
    /// In the order of their numbers.
    pub(super) const ALL: [Self; 4] = [Self::FrontProxy, Self::Certificate, Self::Token, Self::Anonymous];

    /// The value of the label `result`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FrontProxy => "front_proxy",
            Self::Certificate => "certificate",
            Self::Token => "token",
            Self::Anonymous => "anonymous",
        }
    }
}
