//! YAML text → a [`Config`], or every mistake of it at once.
//!
//! Three passes over one tree: the document (YAML), its structure (the schema), and the relations between keys for
//! every part that is sound. A relation with a key that is already wrong is not judged, so mistakes have no followers.

mod job;
mod metric;

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::document::{self, Node, Position, Value};
use super::key_path::KeyPath;
use super::mistake::Mistakes;
use super::{Aggregation, Config, Limits, RateLimits, duration, file, read_text, structure};

/// A file with ten thousand targets takes about 3 MiB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads and checks a configuration file.
///
/// # Errors
/// Every mistake in the file, or one about the file when it cannot be read, is no regular file, is not UTF-8 or has
/// more than 4 MiB.
pub fn load(path: &Path) -> Result<Config, Diagnostics> {
    read(&text(path)?, path)
}

/// The text of a configuration file. Blocks for as long as the disk takes.
///
/// # Errors
/// One mistake about the file as a whole, as in [`load`].
pub fn text(path: &Path) -> Result<String, Diagnostics> {
    read_text(path, FILE_BYTES_MAX).map_err(|message| {
        Diagnostics(vec![Diagnostic { file: path.into(), line: 0, column: 0, key: String::new(), message }])
    })
}

/// Checks the text of a configuration file; relative paths in it start at the folder of `file`.
///
/// # Errors
/// Every mistake, sorted by line.
pub fn read(text: &str, file: &Path) -> Result<Config, Diagnostics> {
    let root = document::read(text).map_err(|malformed| {
        let Position { line, column } = malformed.position;
        Diagnostics(vec![Diagnostic {
            file: file.into(),
            line,
            column,
            key: String::new(),
            message: malformed.message,
        }])
    })?;
    let mut mistakes = Mistakes::new(&root);
    let sound = structure::check_root(&root, &file::schema(), &mut mistakes);
    let folder = file.parent().unwrap_or(Path::new(""));
    let config = build(sound, folder, &root, &mut mistakes);
    let mut diagnostics = mistakes.into_diagnostics(file);
    diagnostics.sort_by(|a, b| (a.line, a.column, &a.key).cmp(&(b.line, b.column, &b.key)));
    diagnostics.dedup();
    if diagnostics.is_empty() { Ok(config) } else { Err(Diagnostics(diagnostics)) }
}

/// Builds what is sound; the result is whole only when there are no mistakes.
fn build(mut sound: Json, folder: &Path, root: &Node, mistakes: &mut Mistakes<'_>) -> Config {
    let path = KeyPath::default();
    let jobs = parts(&mut sound, "scrape_configs");
    let metrics = parts(&mut sound, "metrics");
    let jobs = job::build_all(jobs, &path.key("scrape_configs"), folder, mistakes);
    let aggregation = aggregation(&mut sound, &path.key("aggregation"), mistakes);
    let metrics = metric::build_all(metrics, &path.key("metrics"), longest_interval(root), aggregation, mistakes);
    let limits = sound.get_mut("limits").map(Json::take);
    let limits =
        limits.and_then(|limits| typed(limits, &path.key("limits"), mistakes)).map_or(Limits::default(), limits_of);
    let rate_limits = sound.get_mut("rate_limits").map(Json::take);
    let rate_limits = rate_limits.and_then(|limits| typed(limits, &path.key("rate_limits"), mistakes));
    let rate_limits = rate_limits.map_or(RateLimits::default(), |limits: file::RateLimits| RateLimits::from(limits));
    Config { jobs, metrics, limits, rate_limits }
}

/// The `aggregation` of the file, which metrics without one of their own take over.
fn aggregation(sound: &mut Json, path: &KeyPath, mistakes: &mut Mistakes<'_>) -> Aggregation {
    let given = sound.get_mut("aggregation").map(Json::take).and_then(|given| typed(given, path, mistakes));
    given.map_or(Aggregation::default(), |given| metric::aggregation(given, path, mistakes))
}

fn limits_of(limits: file::Limits) -> Limits {
    let file::Limits { targets, series_per_target, body_size_bytes, label_length, labels_per_series } = limits;
    Limits { targets, series_per_target, body_size_bytes, label_length, labels_per_series }
}

/// The longest `scrape_interval`, `None` when one of them cannot be read.
fn longest_interval(root: &Node) -> Option<Duration> {
    let Value::List(jobs) = &root.get("scrape_configs")?.value else {
        return None;
    };
    let interval = |job: &Node| match job.get("scrape_interval").map(|node| &node.value) {
        None => Some(file::DEFAULT_INTERVAL),
        Some(Value::Text(text)) => duration::parse(text).ok(),
        Some(_) => None,
    };
    let intervals: Option<Vec<Duration>> = jobs.iter().map(interval).collect();
    intervals?.into_iter().max()
}

/// Takes a list out of a sound mapping: its sound items with their indices.
fn parts(sound: &mut Json, key: &str) -> Vec<(usize, Json)> {
    let list = sound.get_mut(key).map(Json::take);
    let Some(Json::Array(items)) = list else {
        return Vec::new();
    };
    if let Some(sound) = sound.as_object_mut() {
        sound.remove(key);
    }
    items.into_iter().enumerate().filter(|(_, item)| !item.is_null()).collect()
}

/// Deserializes a sound part. The schema is made of the same structs, so a failure means that they disagree.
fn typed<T: DeserializeOwned>(mut part: Json, path: &KeyPath, mistakes: &mut Mistakes<'_>) -> Option<T> {
    drop_nulls(&mut part);
    match serde_json::from_value(part) {
        Ok(value) => Some(value),
        Err(error) => {
            mistakes.push(path, format!("{error}"));
            None
        }
    }
}

/// Removes the gaps that wrong items left in lists.
fn drop_nulls(part: &mut Json) {
    match part {
        Json::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        Json::Object(entries) => entries.values_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The first place of each name; a later place gets a mistake that points back.
#[derive(Default)]
struct Names(std::collections::BTreeMap<String, KeyPath>);

// === impl Names ===

impl Names {
    /// `name` is compared, `what` stands in the message, `path` is where the name is written.
    fn claim(&mut self, name: &str, what: &str, path: &KeyPath, mistakes: &mut Mistakes<'_>) {
        match self.0.get(name) {
            Some(first) => {
                let line = mistakes.line(first);
                mistakes.push(path, format!("{what} is already used at line {line}"));
            }
            None => {
                self.0.insert(name.to_owned(), path.clone());
            }
        }
    }
}
