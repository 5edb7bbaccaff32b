//! `/livez`, `/healthz` and `/readyz`, with `?verbose`, `?exclude=<check>` and a path for each check, as the
//! kube-apiserver has them.
//!
//! The first two say that the process answers, and nothing that goes wrong elsewhere fails them: a kubelet would end the
//! process for it. Only the last asks the readiness checks. Strangers are told which of them fail, and not why.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{MatchedPath, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::admin::{Admin, Check, Readiness};
use crate::model::excerpt;
use crate::serving::authentication::User;

pub(super) const LIVEZ: &str = "/livez";
pub(super) const HEALTHZ: &str = "/healthz";
pub(super) const READYZ: &str = "/readyz";

/// Who asks; `None` without a cluster, where only this machine can.
type Asker = Option<Extension<Arc<User>>>;

/// The check that succeeds whenever it is asked.
const PING: &str = "ping";

const WITHHELD: &str = "reason withheld";

/// The names of the checks of an endpoint.
pub(super) fn names<'a>(endpoint: &str, checks: &'a [Check]) -> impl Iterator<Item = &'a str> {
    let asked = if endpoint == READYZ { checks } else { &[] };
    [PING].into_iter().chain(asked.iter().map(|check| check.name))
}

/// 200 or 500. The lines of all checks are shown when one is not plainly ok, or with `?verbose`.
pub(super) async fn all(
    State(admin): State<Admin>,
    path: MatchedPath,
    asker: Asker,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Response {
    let endpoint = path.as_str().trim_end_matches('/');
    let excluded: Vec<&str> = values(&parameters, "exclude").collect();
    let (mut lines, mut code, mut is_plain) = (String::new(), StatusCode::OK, true);
    for name in names(endpoint, &admin.checks) {
        let (line, readiness) = match excluded.contains(&name) {
            true => (format!("[+]{name} excluded\n"), Readiness::Ok),
            false => line(name, told(ask(name, &admin.checks), &asker)),
        };
        lines.push_str(&line);
        is_plain &= readiness == Readiness::Ok;
        code = if matches!(readiness, Readiness::NotReady(_)) { StatusCode::INTERNAL_SERVER_ERROR } else { code };
    }
    for unknown in excluded.iter().filter(|excluded| names(endpoint, &admin.checks).all(|name| name != **excluded)) {
        lines.push_str(&format!("[!]nothing to exclude: {:?} is no check of {endpoint}\n", excerpt(unknown)));
    }
    if is_plain && values(&parameters, "verbose").next().is_none() {
        return text(StatusCode::OK, "ok".into());
    }
    let result = if code == StatusCode::OK { "passed" } else { "failed" };
    text(code, format!("{lines}{} check {result}\n", endpoint.trim_start_matches('/')))
}

/// One check by its name, whatever the others say.
pub(super) async fn one(
    State(admin): State<Admin>,
    path: MatchedPath,
    asker: Asker,
    Path(check): Path<String>,
) -> Response {
    let endpoint = path.as_str().trim_end_matches('/').trim_end_matches("/{check}");
    if names(endpoint, &admin.checks).all(|name| name != check) {
        let known: Vec<&str> = names(endpoint, &admin.checks).collect();
        let message = format!("{endpoint} has no check {:?}; there are: {}\n", excerpt(&check), known.join(", "));
        return text(StatusCode::NOT_FOUND, message);
    }
    match line(&check, told(ask(&check, &admin.checks), &asker)) {
        (_, Readiness::Ok) => text(StatusCode::OK, "ok".into()),
        (line, Readiness::Degraded(_)) => text(StatusCode::OK, line),
        (line, Readiness::NotReady(_)) => text(StatusCode::INTERNAL_SERVER_ERROR, line),
    }
}

fn ask(name: &str, checks: &[Check]) -> Readiness {
    checks.iter().find(|check| check.name == name).map_or(Readiness::Ok, |check| (check.ask)())
}

/// Reasons have addresses and names of the cluster in them.
fn told(readiness: Readiness, asker: &Asker) -> Readiness {
    if !asker.as_ref().is_some_and(|Extension(user)| user.is_anonymous()) {
        return readiness;
    }
    match readiness {
        Readiness::Ok => Readiness::Ok,
        Readiness::Degraded(_) => Readiness::Degraded(WITHHELD.into()),
        Readiness::NotReady(_) => Readiness::NotReady(WITHHELD.into()),
    }
}

/// What a check says, as a line.
fn line(name: &str, readiness: Readiness) -> (String, Readiness) {
    let line = match &readiness {
        Readiness::Ok => format!("[+]{name} ok\n"),
        Readiness::Degraded(what) => format!("[!]{name} degraded: {what}\n"),
        Readiness::NotReady(why) => format!("[-]{name} failed: {why}\n"),
    };
    (line, readiness)
}

fn values<'a>(parameters: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    parameters.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
}

fn text(code: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, private"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (code, headers, body).into_response()
}
