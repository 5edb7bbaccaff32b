//! A request taken apart: its path in decoded segments, its parameters, what its headers accept, and where it is answered.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::document::{Caching, Document};
use crate::api::parameters::{Parameters, unescape};
use crate::api::{Halt, Status, negotiation};
use crate::model::field_selector::FieldSelector;
use crate::model::selector::Selector;
use crate::model::{GroupResource, excerpt};
use crate::provider::{Objects, View};

/// What is asked beside the path.
pub(super) struct Asked<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) parameters: Parameters,
    pub(super) thread: Thread,
}

/// Where a request is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    /// On one that connections share, and hold up each other.
    Shared,
    Own,
}

/// Answers that read more targets than this, or half a millisecond's worth, get a thread of their own: the value of one
/// pod is not to wait behind a list of ten thousand.
const SHARED_TARGETS_MAX: usize = 500;

// === impl Asked ===

impl Asked<'_> {
    /// Halts where an answer would read too much for the thread it is on.
    pub(super) fn check_length(
        &self,
        view: &View<'_>,
        resource: &GroupResource,
        namespace: Option<&str>,
        objects: &Objects<'_>,
    ) -> Result<(), Halt> {
        match self.thread == Thread::Shared && view.reads_more_than(SHARED_TARGETS_MAX, resource, namespace, objects) {
            true => Err(Halt::Long),
            false => Ok(()),
        }
    }

    pub(super) fn selector(&self, parameter: &str) -> Result<Selector, Status> {
        let text = self.parameters.get(parameter).unwrap_or_default();
        Selector::parse(text)
            .map_err(|error| Status::bad_request(format!("unable to parse {parameter} {:?}: {error}", excerpt(&text))))
    }

    pub(super) fn field_selector(&self) -> Result<FieldSelector, Status> {
        let text = self.parameters.get("fieldSelector").unwrap_or_default();
        FieldSelector::parse(text).map_err(|error| {
            Status::bad_request(format!("unable to parse fieldSelector {:?}: {error}", excerpt(&text)))
        })
    }

    /// External metrics are of no object. Somebody may be allowed to read just what a selector leaves, so none is
    /// passed over.
    pub(super) fn check_no_field_selector(&self) -> Result<(), Status> {
        match self.field_selector()?.is_empty() {
            true => Ok(()),
            false => Err(Status::bad_request("external metrics have no fields to select by; leave out fieldSelector")),
        }
    }

    /// Go's reading of the parameter: anything but `0` and `false` is a wish to watch.
    pub(super) fn check_no_watch(&self) -> Result<(), Status> {
        match self.parameters.get("watch") {
            Some(watch) if watch != "0" && !watch.eq_ignore_ascii_case("false") => Err(Status::watch_not_supported()),
            _ => Ok(()),
        }
    }

    /// A document in JSON, if the client takes JSON.
    pub(super) fn document(&self, document: &Document, caching: Caching) -> Result<Response, Status> {
        match negotiation::of_json(self.headers) {
            Some(_) => Ok(document.answer(self.headers, "application/json", caching)),
            None => Err(Status::not_acceptable()),
        }
    }

    /// A JSON answer, if the client takes JSON.
    pub(super) fn json(&self, body: &impl Serialize) -> Result<Response, Status> {
        self.json_of_size(body, 0)
    }

    /// A JSON answer of about `size` bytes: a list of thousands is not to be copied as it grows.
    pub(super) fn json_of_size(&self, body: &impl Serialize, size: usize) -> Result<Response, Status> {
        match negotiation::of_json(self.headers) {
            Some(_) => Ok(self.write(body, size)),
            None => Err(Status::not_acceptable()),
        }
    }

    /// JSON, indented for people: `?pretty=true`, curl, wget and browsers.
    pub(super) fn write(&self, body: &impl Serialize, size: usize) -> Response {
        let mut bytes = Vec::with_capacity(size);
        let written = match self.is_pretty() {
            true => serde_json::to_writer_pretty(&mut bytes, body),
            false => serde_json::to_writer(&mut bytes, body),
        };
        written.expect("our types have string keys only and so always serialize");
        bytes.push(b'\n');
        ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache, private")], bytes)
            .into_response()
    }

    /// JSON where another representation could have been had.
    pub(super) fn write_varying(&self, body: &impl Serialize) -> Response {
        ([(header::VARY, "Accept")], self.write(body, 0)).into_response()
    }

    fn is_pretty(&self) -> bool {
        if let Some(pretty) = self.parameters.get("pretty") {
            return matches!(pretty, "" | "1" | "true");
        }
        let agent = self.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        ["curl/", "Wget/", "Mozilla/5.0"].iter().any(|person| agent.starts_with(person))
    }
}

/// The segments of a path, each percent-decoded on its own, so that `%2F` stays part of a name. Slashes around it are
/// left out: `/apis/` is `/apis`.
///
/// # Errors
/// 404 for an empty segment within, which would be a namespace or an object without a name; 400 for an invalid escape.
pub(super) fn segments(path: &str) -> Result<Vec<String>, Status> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let decode = |segment: &str| match segment {
        "" => Err(Status::resource_not_found()),
        _ => unescape("path", segment),
    };
    path.split('/').map(decode).collect()
}
