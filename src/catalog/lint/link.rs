//! Links between dashboards: each leads to one that is there, with variables that it has.

use std::collections::BTreeMap;

use crate::catalog::lint::board::Board;
use crate::catalog::lint::part::Part;
use crate::catalog::lint::{Finding, Rule};

pub(super) fn check(boards: &[Board<'_>]) -> Vec<Finding> {
    let by_uid: BTreeMap<_, _> = boards.iter().map(|board| (board.uid(), board)).collect();
    boards.iter().flat_map(|board| check_one(board, boards, &by_uid)).collect()
}

fn check_one(board: &Board<'_>, boards: &[Board<'_>], by_uid: &BTreeMap<&str, &Board<'_>>) -> Vec<Finding> {
    let mut found = Vec::new();
    for link in board.whole.list("links") {
        match link.text("type") {
            "dashboards" => found.extend(check_tags(&link, board, boards)),
            "link" => found.extend(check_url(&link.of("url"), link.text("url"), by_uid)),
            other => found.push(link.wrong(Rule::LinkTarget, format!("type {other:?}, expected link or dashboards"))),
        }
    }
    // Links of panels, and of fields: at any depth the key is `url`.
    for (part, text) in board.panels.iter().flat_map(Part::texts) {
        if part.is_at("url") && text.contains("/d/") {
            found.extend(check_url(&part, text, by_uid));
        }
    }
    found
}

fn tags<'a>(part: &Part<'a>) -> Vec<&'a str> {
    part.list("tags").iter().filter_map(|tag| tag.json.as_str()).collect()
}

fn check_tags(link: &Part<'_>, board: &Board<'_>, boards: &[Board<'_>]) -> Option<Finding> {
    let wanted = tags(link);
    let has_all = |other: &Board<'_>| wanted.iter().all(|tag| tags(&other.whole).contains(tag));
    let others = boards.iter().filter(|other| other.uid() != board.uid()).any(has_all);
    let what = format!("no other dashboard has the tags {}", wanted.join(", "));
    (!others).then(|| link.wrong(Rule::LinkTarget, what))
}

fn check_url(part: &Part<'_>, url: &str, by_uid: &BTreeMap<&str, &Board<'_>>) -> Vec<Finding> {
    let Some((_, after)) = url.split_once("/d/") else {
        let is_outside = url.starts_with("https://") || url.starts_with('$');
        let what = format!("{url:?} leads nowhere, expected /d/<uid> or https://");
        return if is_outside { Vec::new() } else { vec![part.wrong(Rule::LinkTarget, what)] };
    };
    let uid = after.split(['/', '?', '#']).next().unwrap_or_default();
    let Some(target) = by_uid.get(uid) else {
        return vec![part.wrong(Rule::LinkTarget, format!("there is no dashboard {uid:?}"))];
    };
    let query = after.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let names = query.split('&').filter_map(|pair| pair.split('=').next()?.strip_prefix("var-"));
    names
        .filter(|name| target.variable(name).is_none())
        .map(|name| part.wrong(Rule::LinkTarget, format!("dashboard {uid} has no variable {name:?}")))
        .collect()
}
