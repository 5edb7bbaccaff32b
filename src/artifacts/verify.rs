//! Whether what runs has what the artifacts ask for: each query its series, each series its labels.

pub mod plimsoll;
pub mod prometheus;

use crate::artifacts::manifest::{queries, read_all};
use crate::artifacts::{Bundle, Query, Refusal};

/// All queries of the dashboards and rules of a bundle.
///
/// # Errors
/// When a file is no dashboard and no rules.
pub fn all_queries(bundle: &Bundle) -> Result<Vec<Query>, Refusal> {
    let texts = bundle.contents.0.iter().filter_map(|(path, bytes)| Some((path.as_str(), str::from_utf8(bytes).ok()?)));
    let (dashboards, rules) = read_all(texts)?;
    Ok(queries(&dashboards, &rules).cloned().collect())
}
