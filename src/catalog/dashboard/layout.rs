//! Where panels are: from left to right and from top to bottom, as text is read.

use serde_json::{Value, json};

use crate::catalog::dashboard::{Panel, Section};

/// Columns of Grafana's grid.
pub(super) const COLUMNS: u32 = 24;

/// A place in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The title of a section, or a panel of it, in its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Placed<'a> {
    Title { section: &'a Section, id: usize, place: Place },
    Panel { panel: &'a Panel, id: usize, place: Place },
}

/// Where the next panel goes.
struct Pen {
    x: u32,
    y: u32,
    /// Of the highest panel in the line.
    line_height: u32,
}

// === impl Pen ===

impl Pen {
    fn place(&mut self, width: u32, height: u32) -> Place {
        if self.x + width > COLUMNS {
            self.end_line();
        }
        let place = Place { x: self.x, y: self.y, width, height };
        self.x += width;
        self.line_height = self.line_height.max(height);
        place
    }

    fn end_line(&mut self) {
        *self = Self { x: 0, y: self.y + self.line_height, line_height: 0 };
    }
}

// === impl Place ===

impl Place {
    pub(super) fn json(self) -> Value {
        json!({"x": self.x, "y": self.y, "w": self.width, "h": self.height})
    }
}

/// All of them, with ids that say where: panel 203 is the third of the second section. Addresses of panels have them, and
/// a change of one section does not change those of another.
pub(super) fn placed(sections: &[Section]) -> Vec<Placed<'_>> {
    let mut pen = Pen { x: 0, y: 0, line_height: 0 };
    let mut all = Vec::new();
    for (section, first) in sections.iter().zip((100..).step_by(100)) {
        pen.end_line();
        all.push(Placed::Title { section, id: first, place: pen.place(COLUMNS, 1) });
        let panels = section.panels.iter().zip(first + 1..);
        all.extend(panels.map(|(panel, id)| Placed::Panel { panel, id, place: pen.place(panel.width, panel.height) }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_goes_below_the_highest_of_its_line() {
        let panel = |width, height| Panel::stat("", "").size(width, height);
        let section = Section { title: "".into(), panels: vec![panel(12, 4), panel(8, 8), panel(6, 4)] };
        let sections = [section.clone(), section];
        let places: Vec<_> = placed(&sections)
            .into_iter()
            .map(|placed| match placed {
                Placed::Title { id, place, .. } | Placed::Panel { id, place, .. } => (id, place.x, place.y),
            })
            .collect();
        let first = [(100, 0, 0), (101, 0, 1), (102, 12, 1), (103, 0, 9)];
        let second = [(200, 0, 13), (201, 0, 14), (202, 12, 14), (203, 0, 22)];
        assert_eq!(places, [first, second].concat());
    }
}
