//! The ConfigMap of a kube-apiserver, and what becomes of it.

use std::time::Duration;

use plimsoll::clock::Clock;
use plimsoll::serving::authentication::{Metrics, Trust, TrustWatch};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::harness::kube_api::KubeApi;
use crate::harness::pki::{Authority, data};
use crate::harness::{eventually, install_crypto};

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(50);

/// What is known, as a running watch tells it.
struct Known(watch::Receiver<Trust>);

// === impl Known ===

impl Known {
    fn of(api: &KubeApi, check_interval: Duration) -> Self {
        install_crypto();
        let mut config = api.config();
        config.default_retry = false;
        let client = kube::Client::try_from(config).expect("a client");
        let (publish, known) = watch::channel(Trust::default());
        let metrics = Metrics::register(&mut Registry::default());
        let watch = TrustWatch { client, publish, clock: Clock::system(), metrics, check_interval };
        tokio::spawn(watch.run(CancellationToken::new()));
        Self(known)
    }

    async fn becomes(&self, good: impl Fn(&Trust) -> bool) -> Trust {
        eventually(async || self.0.borrow().clone(), good).await
    }

    /// Waits until so many certificates are trusted, and nothing is wrong.
    async fn trusts(&self, authorities: usize) {
        self.becomes(|known| known.trouble.is_none() && count(known) == authorities).await;
    }

    /// Waits until something is wrong, with so many certificates trusted.
    async fn has_trouble(&self, words: &str, authorities: usize) {
        let has_words = |known: &Trust| known.trouble.as_ref().is_some_and(|trouble| trouble.contains(words));
        self.becomes(|known| has_words(known) && count(known) == authorities).await;
    }
}

fn count(known: &Trust) -> usize {
    known.in_force.front_proxy.as_ref().map_or(0, |trust| trust.authorities())
}

fn clients(known: &Trust) -> usize {
    known.in_force.clients.as_ref().map_or(0, |trust| trust.authorities())
}

/// A ConfigMap with so many certificates.
fn good(authorities: usize) -> std::collections::BTreeMap<String, String> {
    let pem: String = (0..authorities).map(|i| Authority::new(&i.to_string()).pem()).collect();
    data(&pem, r#"["front-proxy-client"]"#)
}

#[tokio::test]
async fn a_change_is_taken_up_at_once() {
    let api = KubeApi::start().await;
    api.write(Some(good(1)));
    let known = Known::of(&api, HOUR);
    known.trusts(1).await;
    for authorities in [2, 1, 3] {
        api.write(Some(good(authorities)));
        known.trusts(authorities).await;
    }
}

#[tokio::test]
async fn a_change_that_the_watch_does_not_tell_is_found() {
    let api = KubeApi::start().await;
    api.mute();
    api.write(Some(good(1)));
    let known = Known::of(&api, SOON);
    known.trusts(1).await;
    api.write(Some(good(2)));
    known.trusts(2).await;
}

#[tokio::test]
async fn without_the_config_map_nobody_is_trusted_until_it_is_there() {
    let api = KubeApi::start().await;
    let known = Known::of(&api, HOUR);
    known.has_trouble("ConfigMap kube-system/extension-apiserver-authentication does not exist", 0).await;
    api.write(Some(good(1)));
    known.trusts(1).await;
}

#[tokio::test]
async fn a_missing_permission_is_said_with_the_role_that_gives_it() {
    let api = KubeApi::start().await;
    api.write(Some(good(1)));
    api.forbid(true);
    let known = Known::of(&api, HOUR);
    known.has_trouble("the Role extension-apiserver-authentication-reader", 0).await;
    known.has_trouble("User \"plimsoll\" cannot get it", 0).await;
    api.forbid(false);
    known.trusts(1).await;
}

#[tokio::test]
async fn what_was_good_stays_in_force_until_there_is_better() {
    let api = KubeApi::start().await;
    api.write(Some(good(1)));
    let known = Known::of(&api, HOUR);
    known.trusts(1).await;
    api.write(Some(Default::default()));
    known.has_trouble("the key requestheader-client-ca-file is missing", 1).await;
    api.write(Some(data("junk", "[]")));
    known.has_trouble("found none", 1).await;
    api.write(None);
    known.has_trouble("does not exist", 1).await;
    api.write(Some(good(2)));
    known.trusts(2).await;
}

#[tokio::test]
async fn trouble_is_looked_at_again_long_before_the_next_check() {
    let api = KubeApi::start().await;
    api.write(Some(good(1)));
    let known = Known::of(&api, HOUR);
    known.trusts(1).await;
    api.write(Some(Default::default()));
    known.has_trouble("the key requestheader-client-ca-file is missing", 1).await;
    // As after an outage, when the watch waits before it is taken up again.
    api.mute();
    api.write(Some(good(2)));
    known.trusts(2).await;
}

#[tokio::test]
async fn a_kube_apiserver_may_go_and_come_at_any_time() {
    let mut api = KubeApi::away();
    api.write(Some(good(1)));
    let known = Known::of(&api, HOUR);
    known.has_trouble("Connection refused", 0).await;
    api.come().await;
    known.trusts(1).await;
    api.go();
    known.has_trouble("cannot be read", 1).await;
    api.write(Some(good(2)));
    api.come().await;
    known.trusts(2).await;
}

#[tokio::test]
async fn each_of_the_two_authorities_may_be_absent_and_keeps_its_last_good_value() {
    let api = KubeApi::start().await;
    let (one, two) = (Authority::new("one").pem(), Authority::new("one").pem() + &Authority::new("two").pem());
    let with_clients = |mut data: std::collections::BTreeMap<String, String>, pem: &str| {
        data.insert("client-ca-file".into(), pem.into());
        data
    };
    api.write(Some([("client-ca-file".to_owned(), one.clone())].into()));
    let known = Known::of(&api, HOUR);
    known.has_trouble("the key requestheader-client-ca-file is missing", 0).await;
    known.becomes(|known| clients(known) == 1).await;
    let good = good(1);
    api.write(Some(with_clients(good.clone(), &two)));
    known.trusts(1).await;
    known.becomes(|known| clients(known) == 2).await;
    let before = known.0.borrow().in_force.clone();
    api.write(Some(with_clients(good.clone(), "junk")));
    let rest =
        "the key client-ca-file: expected certificates in PEM form, found none; the last good client CA stays in force";
    known.has_trouble(rest, 1).await;
    api.write(Some(good.clone()));
    known.has_trouble("the key client-ca-file is missing", 1).await;
    // Of the one that is good now the new value is taken, and nothing is lost of the other.
    let mut broken = with_clients(good, &one);
    broken.insert("requestheader-allowed-names".into(), "junk".into());
    assert!(std::sync::Arc::ptr_eq(&before, &known.0.borrow().in_force), "connections need not be judged again");
    api.write(Some(broken));
    known.has_trouble("the key requestheader-allowed-names", 1).await;
    known.becomes(|known| clients(known) == 1).await;
}
