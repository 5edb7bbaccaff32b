//! Reading one page.

use crate::report::Section;

pub fn run() -> Section {
    Section { title: "Reading a page", ..Section::default() }
}
