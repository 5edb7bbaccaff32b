use plimsoll::serving::Limits;
use serde_json::json;

use super::scene::{HPA, Identity, NOTHING, STRANGER, Scene};
use crate::harness::eventually;

const LIMITS: &str = "
rate_limits:
  tiers: {default: 5, low: 3, high: 8}
  users: {carol: low}
  service_accounts: {agents/web: high}
  groups: {staff: high}
";

const ALICE: Identity<'static> = &[("X-Remote-User", "alice")];

/// Asks so many times; gives how many were answered with something else than 429.
async fn answered(scene: &Scene, user: Identity<'_>, count: usize) -> usize {
    let client = scene.front_proxy();
    let mut answered = 0;
    for _ in 0..count {
        answered += usize::from(scene.ask(&client, "/apis", user).await.code != 429);
    }
    answered
}

#[tokio::test]
async fn each_client_may_ask_as_often_as_its_tier_says_and_the_cluster_without_end() {
    let scene = Scene::start_with(Limits::default(), &format!("{NOTHING}{LIMITS}"), None).await;
    for (name, group, want) in [
        ("alice", "others", 5),
        ("bob", "others", 5),
        ("carol", "staff", 3),
        ("dora", "staff", 8),
        ("system:serviceaccount:agents:web", "others", 8),
        ("system:serviceaccount:agents:other", "others", 5),
        ("system:anonymous", "system:unauthenticated", 5),
        ("system:serviceaccount:kube-system:horizontal-pod-autoscaler", "others", 30),
        ("system:kube-controller-manager", "others", 30),
        ("system:node:n1", "system:nodes", 30),
        ("admin", "system:masters", 30),
    ] {
        let user = [("X-Remote-User", name), ("X-Remote-Group", group)];
        // A slow machine gets one more back every 7 s.
        let answered = answered(&scene, &user, 30).await;
        assert!(answered == want || (want < 30 && answered == want + 1), "{name}: {answered}, not {want}");
    }
    let limited = scene.metric("plimsoll_serving_requests_limited_total{tier=\"low\"}").await;
    assert!(limited >= 26.0, "{limited}");
    scene.stop().await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back_and_probes_are_always_answered() {
    let scene = Scene::start_with(Limits::default(), &format!("{NOTHING}{LIMITS}"), None).await;
    let client = scene.front_proxy();
    let refused = eventually(|| scene.ask(&client, "/apis", ALICE), |answer| answer.code == 429).await;
    let status = refused.json();
    assert_eq!((&status["reason"], &status["code"]), (&"TooManyRequests".into(), &429.into()));
    let wait = status["details"]["retryAfterSeconds"].as_u64().expect("seconds");
    assert!((1..=12).contains(&wait), "{refused:?}");
    assert_eq!(refused.header("retry-after"), wait.to_string());
    let message = refused.message();
    let words = "too many requests: a client of tier default may make 5 in 60 s; the next one in";
    assert!(message.starts_with(words), "{message}");
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_ne!(scene.ask(&client, path, ALICE).await.code, 429, "{path}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_changed_file_changes_what_clients_may_ask() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plimsoll.yaml");
    let text = format!("{NOTHING}{LIMITS}");
    std::fs::write(&file, &text).expect("written");
    let scene = Scene::start_with(Limits::default(), &text, Some(file.clone())).await;
    let client = scene.front_proxy();
    eventually(|| scene.ask(&client, "/apis", ALICE), |answer| answer.code == 429).await;
    std::fs::write(&file, text.replace("carol: low", "alice: unlimited")).expect("written");
    eventually(|| scene.ask(&client, "/apis", ALICE), |answer| answer.code != 429).await;
    assert_eq!(answered(&scene, ALICE, 50).await, 50);
    scene.stop().await;
}

#[tokio::test]
async fn an_address_that_keeps_failing_is_not_listened_to_and_that_of_the_front_proxy_is() {
    let scene = Scene::start(Limits { failures_per_minute: 5, unanswered: 1_000, ..Limits::default() }).await;
    let stranger = scene.stranger(STRANGER);
    let bad: Identity<'_> = &[("Authorization", "Bearer wrong")];
    // Whoever was found good stays so, whatever comes from beside it.
    let good: Identity<'_> = &[("Authorization", "Bearer good")];
    scene.api.token("good", Some(json!({"username": "prometheus", "groups": ["system:masters"]})));
    assert_eq!(scene.ask(&stranger, "/apis", good).await.code, 200);
    let failing = async {
        let mut codes = Vec::new();
        for _ in 0..20 {
            codes.push(scene.ask(&stranger, "/apis", bad).await.code);
        }
        codes
    };
    let codes = scene.withstands(failing).await;
    let refused = codes.iter().filter(|code| **code == 429).count();
    assert!(codes[0] == 401 && (10..=15).contains(&refused), "{codes:?}");
    let answer = scene.ask(&stranger, "/apis", bad).await;
    assert!(answer.message().starts_with("too many failed authentications from this address"), "{answer:?}");
    assert_eq!(scene.ask(&stranger, "/apis", good).await.code, 200);
    assert_eq!(scene.ask(&stranger, "/livez", &[]).await.code, 200);
    // Who shows nothing, or a good certificate, does not pay for its neighbour.
    assert_ne!(scene.ask(&stranger, "/apis", &[]).await.code, 429);
    assert_eq!(scene.ask(&scene.front_proxy_at(STRANGER), "/apis", HPA).await.code, 200);
    // The same from the address of the front proxy is refused each time anew, for others come from there too.
    for _ in 0..20 {
        assert_eq!(scene.ask(&scene.plimsoll.http, "/apis", bad).await.code, 401);
    }
    assert_eq!(scene.ask(&scene.front_proxy(), "/apis", HPA).await.code, 200);
    scene.stop().await;
}
