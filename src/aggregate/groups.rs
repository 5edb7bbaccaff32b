//! Values by the labels they are split by.

use std::collections::BTreeMap;

use crate::model::Labels;

/// A map by group. The first group is kept in place: most definitions are not split, and a map of one entry for each of
/// a thousand pods costs more than what is in it.
#[derive(Clone, Debug)]
pub struct Groups<T> {
    first: Option<(Labels, T)>,
    others: BTreeMap<Labels, T>,
}

impl<T> Default for Groups<T> {
    fn default() -> Self {
        Self { first: None, others: BTreeMap::new() }
    }
}

// === impl Groups ===

impl<T> Groups<T> {
    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    pub fn get_mut(&mut self, group: &Labels) -> Option<&mut T> {
        match &mut self.first {
            Some((labels, value)) if labels == group => Some(value),
            _ => self.others.get_mut(group),
        }
    }

    /// Puts a value in, or has it merged with the one of its group.
    pub fn add(&mut self, group: Labels, value: T, merge: impl FnOnce(&mut T, T)) {
        if self.is_empty() {
            self.first = Some((group, value));
        } else if let Some(present) = self.get_mut(&group) {
            merge(present, value);
        } else {
            self.others.insert(group, value);
        }
    }

    /// Takes the value of a group out.
    pub fn take(&mut self, group: &Labels) -> Option<T> {
        let first = self.first.take_if(|(labels, _)| labels == group).map(|(_, value)| value);
        first.or_else(|| self.others.remove(group))
    }

    /// Takes the first value out, whatever its group.
    pub fn take_first(&mut self) -> Option<T> {
        let first = self.first.take().map(|(_, value)| value);
        first.or_else(|| self.others.pop_first().map(|(_, value)| value))
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&Labels) -> bool) {
        self.first.take_if(|(labels, _)| !keep(labels));
        self.others.retain(|labels, _| keep(labels));
    }

    /// The groups, the one that came first before the others, which are in order.
    pub fn keys(&self) -> impl Iterator<Item = &Labels> {
        self.first.iter().map(|(labels, _)| labels).chain(self.others.keys())
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().map(|(_, value)| value).chain(self.others.values_mut())
    }

    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.into_iter().map(|(_, value)| value)
    }
}

impl<T> IntoIterator for Groups<T> {
    type Item = (Labels, T);
    type IntoIter =
        std::iter::Chain<std::option::IntoIter<(Labels, T)>, std::collections::btree_map::IntoIter<Labels, T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> Labels {
        Labels::new([("queue", name)])
    }

    #[test]
    fn each_group_has_the_sum_of_what_came_for_it() {
        let mut groups = Groups::default();
        for (name, value) in [("b", 1), ("a", 2), ("b", 3), ("c", 4), ("a", 5)] {
            groups.add(group(name), value, |all, one| *all += one);
        }
        assert_eq!(groups.keys().cloned().collect::<Vec<_>>(), [group("b"), group("a"), group("c")]);
        groups.retain(|labels| *labels != group("b"));
        groups.add(group("a"), 10, |all, one| *all += one);
        assert_eq!(groups.into_iter().collect::<Vec<_>>(), [(group("a"), 17), (group("c"), 4)]);
    }
}
