//! One watch against a server that does what a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Request, Response};
use futures::stream::{once, pending};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;

/// What is had of a watch, and the task that runs it.
struct Followed {
    inbox: mpsc::Receiver<Message>,
    _task: JoinSet<()>,
}

/// Short enough to be waited out; a second is the shortest that the API takes.
const PATIENCE: Patience = Patience { watch_seconds: 1, page: Duration::from_millis(200) };

// === impl Followed ===

impl Followed {
    /// A watch of pods whose requests are answered like this; `answer` gets the path and whether it is a watch.
    fn new(answer: impl Fn(&str, bool) -> Response<Body> + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let answer = answer.clone();
            async move {
                let path = request.uri().to_string();
                Ok::<_, std::convert::Infallible>(answer(&path, path.contains("watch=true")))
            }
        });
        let (news, inbox) = mpsc::channel(100);
        let scope = Scope { kind: Kind::Pod, namespace: None, name: None };
        let mut task = JoinSet::new();
        task.spawn(Watch { scope, number: 0, news, patience: PATIENCE }.run(kube::Client::new(service, "default")));
        Self { inbox, _task: task }
    }

    /// The next news in short. That the server answers again may come before or after what it answers.
    async fn next(&mut self) -> String {
        let name = |(namespace, name): ObjectName| format!("{namespace}/{name}");
        let mut news = News::Answered;
        while matches!(news, News::Answered) {
            news = self.inbox.recv().await.expect("it never ends").news;
        }
        match news {
            News::Object(object) => name(object.name()),
            News::Deleted(gone) => format!("-{}", name(gone)),
            News::Unreadable(of, why) => format!("?{}: {why}", name(of)),
            News::Listed(listed) => format!("listed {}", listed.len()),
            News::Failed(failure) => format!("{:?}: {}", failure.cause, failure.text),
            News::Answered => unreachable!("left out"),
        }
    }

    async fn tells(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.next().await, *expected);
        }
    }
}

fn pod(name: &str, version: usize) -> Value {
    json!({"metadata": {"namespace": "ns", "name": name, "resourceVersion": version.to_string()}})
}

fn list(items: &[Value], next: &str) -> Response<Body> {
    let metadata = json!({"resourceVersion": "1", "continue": next});
    Response::new(
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}).to_string().into(),
    )
}

/// A watch that tells of these pods and then of nothing, for ever.
fn silent_after(pods: &[Value]) -> Response<Body> {
    let lines = pods.iter().map(|pod| format!("{}\n", json!({"type": "ADDED", "object": pod}))).collect::<String>();
    Response::new(Body::from_stream(once(async { Ok::<_, std::io::Error>(lines) }).chain(pending())))
}

#[tokio::test]
async fn a_watch_that_is_dead_without_a_word_is_taken_up_again_where_it_stood() {
    let watches = AtomicUsize::new(0);
    let mut followed = Followed::new(move |path, is_watch| match (is_watch, path.contains("resourceVersion=7")) {
        (false, _) => list(&[pod("a", 1)], ""),
        (true, false) if watches.fetch_add(1, Ordering::Relaxed) == 0 => silent_after(&[pod("b", 7)]),
        (true, is_where_it_stood) => silent_after(&[pod(if is_where_it_stood { "c" } else { "wrong" }, 8)]),
    });
    followed.tells(&["ns/a", "listed 1", "ns/b", "ns/c"]).await;
}

#[tokio::test]
async fn a_list_comes_page_by_page_and_tells_of_what_is_not_there_at_its_end_alone() {
    let mut followed = Followed::new(|path, is_watch| match (is_watch, path.contains("continue=next")) {
        (true, _) => silent_after(&[]),
        (false, false) => {
            let limit = page_size(Kind::Pod);
            assert!(path.contains(&format!("limit={limit}")), "{path}");
            list(&[pod("a", 1), pod("b", 1)], "next")
        }
        (false, true) => list(&[pod("c", 1)], ""),
    });
    followed.tells(&["ns/a", "ns/b", "ns/c", "listed 3"]).await;
}

#[tokio::test]
async fn a_page_that_does_not_come_is_said_and_asked_for_again() {
    let page = || Body::from_stream(pending::<Result<String, std::io::Error>>());
    let lists = AtomicUsize::new(0);
    let mut followed = Followed::new(move |_, is_watch| match is_watch {
        true => silent_after(&[]),
        false if lists.fetch_add(1, Ordering::Relaxed) == 0 => Response::new(page()),
        false => list(&[pod("a", 1)], ""),
    });
    followed.tells(&["Silent: no page of the list within 0.2 s", "ns/a", "listed 1"]).await;
}

#[tokio::test]
async fn one_bad_object_costs_no_other_in_a_list_or_in_a_watch() {
    let mut bad = pod("bad", 2);
    bad["spec"] = json!({"containers": 7});
    let worse = json!({"metadata": {"namespace": "ns", "name": "worse", "resourceVersion": "3", "labels": [1]}});
    let mut followed = Followed::new(move |_, is_watch| match is_watch {
        true => silent_after(&[worse.clone(), pod("later", 4)]),
        false => list(&[pod("a", 1), bad.clone(), pod("z", 1)], ""),
    });
    let first = followed.next().await;
    assert!(first.starts_with("Garbled: the answer cannot be read"), "{first}");
    followed.tells(&["ns/a"]).await;
    let second = followed.next().await;
    assert!(second.starts_with("?ns/bad: invalid type: integer `7`"), "{second}");
    followed.tells(&["ns/z", "listed 3"]).await;
    let third = followed.next().await;
    assert!(third.starts_with("?ns/worse: invalid type"), "{third}");
    followed.tells(&["ns/later"]).await;
}

#[tokio::test]
async fn a_watch_whose_place_is_forgotten_lists_again() {
    let gone = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old",
    }});
    let lists = AtomicUsize::new(0);
    let mut followed = Followed::new(move |_, is_watch| match is_watch {
        true => Response::new(format!("{gone}\n").into()),
        false => list(&[pod(&lists.fetch_add(1, Ordering::Relaxed).to_string(), 1)], ""),
    });
    followed.tells(&["ns/0", "listed 1", "Expired: it answers 410: too old", "ns/1", "listed 1"]).await;
}

#[tokio::test]
async fn a_kind_that_is_gone_and_comes_back_is_listed_again() {
    let requests = AtomicUsize::new(0);
    let mut followed = Followed::new(move |_, is_watch| match requests.fetch_add(1, Ordering::Relaxed) {
        1 => {
            let status =
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "message": "no"});
            let response = Response::builder().status(404).body(status.to_string().into());
            response.expect("a response")
        }
        _ if is_watch => silent_after(&[]),
        number => list(&[pod(&number.to_string(), 1)], ""),
    });
    followed.tells(&["ns/0", "listed 1", "Absent: it answers 404: no", "ns/2", "listed 1"]).await;
}
