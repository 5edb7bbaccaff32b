//! Who asks, and how a front proxy says so in headers.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::serving::authentication::Refusal;

/// Who asks: what an authenticator found out, and all that an authorizer needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Which headers carry the identity, in the order in which they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IdentityHeaders {
    pub(super) username: Vec<HeaderName>,
    pub(super) uid: Vec<HeaderName>,
    pub(super) groups: Vec<HeaderName>,
    /// In lower case, as header names are.
    pub(super) extra_prefixes: Vec<String>,
}

const ANONYMOUS: &str = "system:anonymous";
const SERVICE_ACCOUNTS: &str = "system:serviceaccount:";
const SYSTEM_SERVICE_ACCOUNTS: &str = "system:serviceaccount:kube-system:";
const AUTOSCALING: [&str; 2] =
    ["system:serviceaccount:kube-system:horizontal-pod-autoscaler", "system:kube-controller-manager"];
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

// === impl User ===

impl User {
    /// Whoever shows nothing.
    pub fn anonymous() -> Self {
        Self { name: ANONYMOUS.into(), groups: vec![UNAUTHENTICATED.into()], ..Self::default() }
    }

    /// Whether nobody was authenticated.
    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// Whether this is a part of the cluster itself: its components, its nodes, the controllers with their
    /// ServiceAccounts, and its administrators. ServiceAccounts of other namespaces are those of workloads.
    pub fn is_system(&self) -> bool {
        let is_workload = |name: &str| name.starts_with(SERVICE_ACCOUNTS) && !name.starts_with(SYSTEM_SERVICE_ACCOUNTS);
        let is_component = self.name.starts_with("system:") && !self.is_anonymous() && !is_workload(&self.name);
        is_component || self.groups.iter().any(|group| group == "system:masters")
    }

    /// Whether this is the controller of the autoscalers: with a ServiceAccount of its own, or as a part of the
    /// kube-controller-manager.
    pub fn autoscales(&self) -> bool {
        AUTOSCALING.contains(&&*self.name)
    }

    /// Adds the group that everybody has who was authenticated: some requests of the kube-apiserver itself name no
    /// group at all, and are allowed by this one.
    pub(super) fn authenticated(mut self) -> Self {
        let is_said = self.groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED);
        if !is_said && self.name != ANONYMOUS {
            self.groups.push(AUTHENTICATED.into());
        }
        self
    }
}

// === impl IdentityHeaders ===

impl IdentityHeaders {
    /// Those that kube-apiservers are usually told to send.
    pub(super) fn usual() -> Self {
        let names = |name| vec![HeaderName::from_static(name)];
        Self {
            username: names("x-remote-user"),
            uid: names("x-remote-uid"),
            groups: names("x-remote-group"),
            extra_prefixes: vec!["x-remote-extra-".into()],
        }
    }

    /// The user that the headers name. Call it only for requests of the front proxy.
    pub(super) fn read(&self, headers: &HeaderMap) -> Result<User, Refusal> {
        let first = |names: &[HeaderName]| {
            let mut values = names.iter().filter_map(|name| headers.get(name));
            values.find(|value| !value.is_empty()).map(text).transpose()
        };
        let groups = self.groups.iter().flat_map(|name| headers.get_all(name));
        Ok(User {
            name: first(&self.username)?.ok_or(Refusal::NoUser)?,
            uid: first(&self.uid)?,
            groups: groups.filter(|group| !group.is_empty()).map(text).collect::<Result<_, _>>()?,
            extra: self.extra(headers)?,
        })
    }

    /// Takes the identity out of a request, so that nobody behind reads what nobody has checked.
    pub(super) fn remove_from(&self, headers: &mut HeaderMap) {
        for name in self.username.iter().chain(&self.uid).chain(&self.groups) {
            headers.remove(name);
        }
        let extra: Vec<_> = headers.keys().filter(|name| self.extra_key(name).is_some()).cloned().collect();
        extra.iter().for_each(|name| drop(headers.remove(name)));
    }

    fn extra(&self, headers: &HeaderMap) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            if let Some(key) = self.extra_key(name) {
                extra.entry(unescape(key)).or_default().push(text(value)?);
            }
        }
        Ok(extra)
    }

    fn extra_key<'a>(&self, name: &'a HeaderName) -> Option<&'a str> {
        self.extra_prefixes.iter().find_map(|prefix| name.as_str().strip_prefix(prefix.as_str()))
    }
}

/// Names in other encodings would turn into each other if they were read as far as possible.
fn text(value: &HeaderValue) -> Result<String, Refusal> {
    std::str::from_utf8(value.as_bytes()).map(str::to_owned).map_err(|_| Refusal::NotText)
}

/// Keys hold characters that header names cannot, so they come percent-encoded. A key that is not is taken as it is.
fn unescape(key: &str) -> String {
    let is_escape = |rest: &str| rest.get(..2).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let decoded = key.split('%').skip(1).all(is_escape).then(|| percent_decode_str(key).decode_utf8().ok()).flatten();
    decoded.map_or_else(|| key.to_owned(), |decoded| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let value = |value: &[u8]| HeaderValue::from_bytes(value).expect("a value");
        pairs.iter().map(|(name, bytes)| (HeaderName::from_static(name), value(bytes))).collect()
    }

    /// As kubeadm configures them, with a second name for the user.
    fn configured() -> IdentityHeaders {
        let names = |names: &[&'static str]| names.iter().copied().map(HeaderName::from_static).collect();
        IdentityHeaders {
            username: names(&["x-remote-user", "x-proxy-user"]),
            uid: names(&["x-remote-uid"]),
            groups: names(&["x-remote-group", "x-proxy-group"]),
            extra_prefixes: vec!["x-remote-extra-".into()],
        }
    }

    fn user(pairs: &[(&'static str, &str)]) -> Result<User, Refusal> {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        configured().read(&headers(&pairs))
    }

    #[test]
    fn the_cluster_itself_is_told_from_what_runs_in_it() {
        let is_system = |name: &str, group: &str| {
            User { name: name.into(), groups: vec![group.into()], ..User::default() }.is_system()
        };
        for name in [
            "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
            "system:kube-controller-manager",
            "system:kube-aggregator",
            "system:apiserver",
            "system:node:n1",
        ] {
            assert!(is_system(name, "a"), "{name}");
        }
        assert!(is_system("kubernetes-admin", "system:masters"));
        for name in
            ["system:anonymous", "system:serviceaccount:agents:web", "system:serviceaccount:kube-system-2:a", "alice"]
        {
            assert!(!is_system(name, "system:authenticated"), "{name}");
        }
    }

    #[test]
    fn the_user_is_the_first_name_that_is_not_empty() {
        let name = |pairs| user(pairs).map(|user| user.name);
        assert_eq!(name(&[("x-remote-user", "alice")]), Ok("alice".into()));
        assert_eq!(name(&[("x-remote-user", ""), ("x-proxy-user", "bob")]), Ok("bob".into()));
        assert_eq!(name(&[("x-proxy-user", "bob"), ("x-remote-user", "alice")]), Ok("alice".into()));
        assert_eq!(name(&[("x-remote-user", "")]), Err(Refusal::NoUser));
        assert_eq!(name(&[("x-remote-group", "system:masters")]), Err(Refusal::NoUser));
        assert_eq!(name(&[("x-remote-user", "jürgen")]), Ok("jürgen".into()));
    }

    #[test]
    fn groups_are_all_values_of_all_headers_and_commas_belong_to_them() {
        let groups =
            [("x-remote-group", "a,b"), ("x-remote-group", ""), ("x-proxy-group", "d"), ("x-remote-group", "c")];
        let user = user(&[&[("x-remote-user", "alice"), ("x-remote-uid", "7")], &groups[..]].concat()).expect("a user");
        assert_eq!(user.groups, ["a,b", "c", "d"]);
        assert_eq!(user.uid.as_deref(), Some("7"));
    }

    #[test]
    fn keys_of_extra_are_decoded_where_they_are_encoded() {
        let key = |name: &'static str| {
            let user = user(&[("x-remote-user", "alice"), (name, "1"), (name, "2")]).expect("a user");
            let (key, values) = user.extra.into_iter().next().expect("one key");
            assert_eq!(values, ["1", "2"], "{name}");
            key
        };
        assert_eq!(key("x-remote-extra-scopes"), "scopes");
        assert_eq!(
            key("x-remote-extra-authentication.kubernetes.io%2fcredential-id"),
            "authentication.kubernetes.io/credential-id"
        );
        assert_eq!(key("x-remote-extra-%c3%a4"), "ä");
        for broken in ["100%", "100%2", "a%2fb%zz", "a%ff"] {
            assert_eq!(key(Box::leak(format!("x-remote-extra-{broken}").into_boxed_str())), broken);
        }
    }

    #[test]
    fn a_value_that_is_not_text_names_nobody() {
        for name in ["x-remote-user", "x-remote-group", "x-remote-uid", "x-remote-extra-scopes"] {
            let headers = headers(&[(name, b"\xff"), ("x-proxy-user", b"alice")]);
            assert_eq!(configured().read(&headers), Err(Refusal::NotText), "{name}");
        }
    }

    #[test]
    fn everybody_is_in_the_group_of_the_authenticated_but_the_anonymous() {
        let groups = |name: &str, groups: &[&str]| {
            let groups = groups.iter().copied().map(str::to_owned).collect();
            User { name: name.into(), groups, ..User::default() }.authenticated().groups
        };
        assert_eq!(groups("system:kube-aggregator", &[]), ["system:authenticated"]);
        assert_eq!(groups("alice", &["a"]), ["a", "system:authenticated"]);
        assert_eq!(groups("alice", &["system:authenticated", "a"]), ["system:authenticated", "a"]);
        assert_eq!(groups("system:anonymous", &["system:unauthenticated"]), ["system:unauthenticated"]);
        assert_eq!(groups("system:anonymous", &[]), [""; 0]);
    }

    #[test]
    fn the_identity_is_taken_out_and_the_rest_stays() {
        let mut headers = headers(&[
            ("x-remote-user", b"alice"),
            ("x-proxy-user", b"bob"),
            ("x-remote-uid", b"7"),
            ("x-remote-group", b"a"),
            ("x-remote-group", b"b"),
            ("x-remote-extra-scopes", b"1"),
            ("x-remote-extra-", b"1"),
            ("x-remote", b"stays"),
            ("accept", b"stays"),
        ]);
        configured().remove_from(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-remote"]);
    }
}
