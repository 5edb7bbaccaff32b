//! Plimsoll beside a real Prometheus: both get the same pages over HTTP, and every sample is compared.
//!
//! Hand-made pages say what is expected of each. Where Plimsoll differs on purpose its row says why, and the test
//! fails as soon as either side changes.

mod cases;
mod comparison;
mod generated;
mod ours;
mod programs;
mod reading;
mod theirs;

use comparison::{Expected, check};

use crate::harness::pages::Page;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn page(name: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Page {
    Page { name: name.to_owned(), content_type: Some(content_type.to_owned()), body: body.into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hand_made_pages_are_read_as_prometheus_reads_them_but_where_the_row_says_otherwise() {
    let cases = cases::all();
    assert!(cases.len() >= 100, "{} cases", cases.len());
    assert!(check(&cases).await > 20_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_pages_and_their_mutations_are_read_as_prometheus_reads_them() {
    assert!(check(&generated::all()).await > 3_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_real_programs_are_read_as_prometheus_reads_them() {
    let pages = programs::pages().await;
    let cases: Vec<_> = pages.into_iter().map(|page| (page, Expected::Same)).collect();
    assert!(check(&cases).await > 1_000);
}
