//! Whether the two readings of each page agree as expected.

use std::collections::BTreeSet;

use super::reading::{Content, Reading, Sample, now};
use super::{ours, theirs};
use crate::harness::pages::{self, Page};

/// How the two readings of a page relate. The reasons are for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// Both read the page and find the same samples and types.
    Same,
    BothRefuse,
    OnlyPrometheusRefuses(String),
    OnlyPlimsollRefuses(String),
    /// Both read the page and find different things.
    Differs(String),
    /// [`Self::Same`] or [`Self::BothRefuse`], unless the page has something that hand-made pages show to be read
    /// differently.
    Agreement {
        but: Option<&'static str>,
    },
}

/// How many pages came out in which way, and how many samples of them are the same.
#[derive(Debug, Default)]
struct Tally {
    same: usize,
    both_refuse: usize,
    only_prometheus_refuses: usize,
    only_plimsoll_refuses: usize,
    differ: usize,
    samples: usize,
}

/// Lets both sides scrape the pages and fails with all that is not as expected. Gives how many samples were compared.
pub async fn check(cases: &[(Page, Expected)]) -> usize {
    let pages: Vec<Page> = cases.iter().map(|(page, _)| page.clone()).collect();
    let start = now();
    let address = pages::serve(&pages).await;
    let (theirs, ours) = (theirs::readings(&pages, &address, start).await, ours::readings(&address, pages.len()).await);
    let (mut wrong, mut tally) = (Vec::new(), Tally::default());
    for ((page, expected), (theirs, ours)) in cases.iter().zip(theirs.iter().zip(&ours)) {
        let found = verdict(ours, theirs, start);
        if !expected.allows(&found) {
            wrong.push(report(page, expected, &found));
        }
        tally.count(ours, &found, start);
    }
    println!("{tally:?}");
    // What is excused stays the exception.
    let excused = tally.only_prometheus_refuses + tally.only_plimsoll_refuses + tally.differ;
    assert!(excused * 8 < cases.len(), "{excused} of {} pages are read differently", cases.len());
    assert!(wrong.is_empty(), "{} of {} pages:\n\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
    tally.samples
}

fn report(page: &Page, expected: &Expected, found: &Expected) -> String {
    let text = String::from_utf8_lossy(&page.body);
    let shown: String = text.chars().take(600).collect();
    format!("=== {}: expected {expected:?}, found {found:?}\n{shown:?}", page.name)
}

fn verdict(ours: &Reading, theirs: &Reading, start: i64) -> Expected {
    match (ours, theirs) {
        (Reading::Refused(_), Reading::Refused(_)) => Expected::BothRefuse,
        (Reading::Read(_), Reading::Refused(theirs)) => Expected::OnlyPrometheusRefuses(theirs.clone()),
        (Reading::Refused(ours), Reading::Read(_)) => Expected::OnlyPlimsollRefuses(ours.clone()),
        (Reading::Read(ours), Reading::Read(theirs)) => match difference(ours, theirs, start) {
            None => Expected::Same,
            Some(difference) => Expected::Differs(difference),
        },
    }
}

fn difference(ours: &Content, theirs: &Content, start: i64) -> Option<String> {
    if ours.lines != theirs.lines {
        return Some(format!("{} sample lines, and for Prometheus {}", ours.lines, theirs.lines));
    }
    let our_samples: BTreeSet<&Sample> = ours.kept(start).collect();
    let their_samples: BTreeSet<&Sample> = theirs.samples.iter().collect();
    if let Some(sample) = our_samples.symmetric_difference(&their_samples).next() {
        let side = if our_samples.contains(sample) { "Plimsoll" } else { "Prometheus" };
        return Some(format!("only {side} has {sample:?}"));
    }
    (ours.types != theirs.types).then(|| format!("types {:?}, and for Prometheus {:?}", ours.types, theirs.types))
}

// === impl Tally ===

impl Tally {
    fn count(&mut self, ours: &Reading, found: &Expected, start: i64) {
        match (found, ours) {
            (Expected::Same, Reading::Read(content)) => {
                self.same += 1;
                self.samples += content.kept(start).count();
            }
            (Expected::BothRefuse, _) => self.both_refuse += 1,
            (Expected::OnlyPrometheusRefuses(_), _) => self.only_prometheus_refuses += 1,
            (Expected::OnlyPlimsollRefuses(_), _) => self.only_plimsoll_refuses += 1,
            _ => self.differ += 1,
        }
    }
}

// === impl Expected ===

impl Expected {
    fn allows(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::Agreement { .. }, Self::Same | Self::BothRefuse) => true,
            (Self::Agreement { but }, _) => but.is_some(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(found),
        }
    }
}
