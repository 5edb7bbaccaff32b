//! Line charts as SVG, readable on light and dark pages.

use std::fmt::Write as _;

use crate::report::{folder, number};

/// A chart with one or more lines.
pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
    /// Vertical rules at a place of the x axis, with what they mean.
    pub marks: Vec<(f64, String)>,
}

/// What is along an axis.
pub struct Axis {
    /// With the unit.
    pub label: &'static str,
    pub scale: Scale,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Scale {
    /// From zero.
    Linear,
    /// Powers of ten; for values above zero.
    Logarithmic,
}

/// Points in order of x.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Values of an axis on its pixels.
struct Mapping {
    scale: Scale,
    values: (f64, f64),
    pixels: (f64, f64),
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 58.0;

/// As many as there are colours below.
const LINES_MAX: usize = 5;

const STYLE: &str = "
  svg { font: 13px system-ui, sans-serif; }
  .page { fill: #ffffff; } text { fill: #1f2937; } .faint { fill: #6b7280; }
  .title { font-size: 15px; font-weight: 600; }
  .grid { stroke: #e5e7eb; } .axis { stroke: #9ca3af; } .mark { stroke: #6b7280; stroke-dasharray: 5 4; }
  polyline { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
  .l0 { stroke: #2563eb; } .l1 { stroke: #c2410c; } .l2 { stroke: #047857; }
  .l3 { stroke: #a21caf; } .l4 { stroke: #854d0e; }
  .d0 { fill: #2563eb; } .d1 { fill: #c2410c; } .d2 { fill: #047857; } .d3 { fill: #a21caf; } .d4 { fill: #854d0e; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; } text { fill: #e5e7eb; } .faint { fill: #9ca3af; }
    .grid { stroke: #30363d; } .axis { stroke: #6b7280; }
    .l0 { stroke: #60a5fa; } .l1 { stroke: #fb923c; } .l2 { stroke: #34d399; }
    .l3 { stroke: #e879f9; } .l4 { stroke: #facc15; }
    .d0 { fill: #60a5fa; } .d1 { fill: #fb923c; } .d2 { fill: #34d399; } .d3 { fill: #e879f9; } .d4 { fill: #facc15; }
  }";

/// Dots are drawn up to this many points; beyond, the line says it.
const DOTS_MAX: usize = 12;

// === impl Chart ===

impl Chart {
    /// Writes `NAME.svg` into the folder of the report.
    pub fn write(&self, name: &str) {
        std::fs::create_dir_all(folder()).expect("a folder");
        std::fs::write(folder().join(name).with_extension("svg"), self.svg()).expect("a file");
    }

    fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let marked = self.marks.iter().map(|(at, _)| *at);
        let x = Mapping::new(&self.x, points().map(|point| point.0).chain(marked), (LEFT, WIDTH - RIGHT));
        let y = Mapping::new(&self.y, points().map(|point| point.1), (HEIGHT - BOTTOM, TOP));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" role=\"img\" aria-label=\"{0}\">\n<style>{STYLE}\n</style>\n\
             <rect class=\"page\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n",
            escape(&self.title)
        );
        put_text(&mut svg, "title", (LEFT, 26.0), "start", &self.title);
        self.draw_axes(&mut svg, &x, &y);
        self.draw_marks(&mut svg, &x);
        for (i, line) in self.lines.iter().enumerate() {
            line.draw(&mut svg, i % LINES_MAX, &x, &y);
        }
        self.draw_legend(&mut svg);
        svg + "</svg>\n"
    }

    fn draw_axes(&self, svg: &mut String, x: &Mapping, y: &Mapping) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in y.ticks() {
            let at = y.place(tick);
            put(svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>"));
            put_text(svg, "", (LEFT - 8.0, at + 4.5), "end", &short(tick));
        }
        for tick in x.ticks() {
            let at = x.place(tick);
            put(svg, format_args!("<path class=\"axis\" d=\"M{at:.1} {bottom}v5\"/>"));
            put_text(svg, "", (at, bottom + 20.0), "middle", &short(tick));
        }
        put(svg, format_args!("<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>"));
        put_text(svg, "faint", ((LEFT + right) / 2.0, HEIGHT - 14.0), "middle", self.x.label);
        put(svg, format_args!("<g transform=\"translate(22 {}) rotate(-90)\">", (TOP + bottom) / 2.0));
        put_text(svg, "faint", (0.0, 0.0), "middle", self.y.label);
        put(svg, format_args!("</g>"));
    }

    fn draw_marks(&self, svg: &mut String, x: &Mapping) {
        for (at, text) in &self.marks {
            let at = x.place(*at);
            put(svg, format_args!("<path class=\"mark\" d=\"M{at:.1} {TOP}V{}\"/>", HEIGHT - BOTTOM));
            let (anchor, aside) = if at > WIDTH / 2.0 { ("end", -6.0) } else { ("start", 6.0) };
            put_text(svg, "faint", (at + aside, HEIGHT - BOTTOM - 10.0), anchor, text);
        }
    }

    fn draw_legend(&self, svg: &mut String) {
        let mut at = LEFT;
        for (i, line) in self.lines.iter().enumerate() {
            put(svg, format_args!("<path class=\"l{}\" stroke-width=\"3\" d=\"M{at:.0} 48h18\"/>", i % LINES_MAX));
            put_text(svg, "", (at + 24.0, 52.5), "start", &line.name);
            // The width of text is not known here; 7 px per character is a little more than it takes.
            at += 48.0 + 7.0 * line.name.chars().count() as f64;
        }
    }
}

// === impl Line ===

impl Line {
    fn draw(&self, svg: &mut String, colour: usize, x: &Mapping, y: &Mapping) {
        let places: Vec<_> = self.points.iter().map(|point| (x.place(point.0), y.place(point.1))).collect();
        let text: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        put(svg, format_args!("<polyline class=\"l{colour}\" points=\"{}\"/>", text.join(" ")));
        for (x, y) in places.iter().filter(|_| places.len() <= DOTS_MAX) {
            put(svg, format_args!("<circle class=\"d{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\"/>"));
        }
    }
}

// === impl Mapping ===

impl Mapping {
    fn new(axis: &Axis, values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Self {
        let (least, most) =
            values.fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
        let values = match axis.scale {
            Scale::Linear => (0.0, (most / step(most)).ceil() * step(most)),
            Scale::Logarithmic => (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil())),
        };
        Self { scale: axis.scale, values, pixels }
    }

    fn place(&self, value: f64) -> f64 {
        let on_scale = |value: f64| if self.scale == Scale::Linear { value } else { value.log10() };
        let (from, to) = (on_scale(self.values.0), on_scale(self.values.1));
        let share = (on_scale(value) - from) / (to - from).max(f64::MIN_POSITIVE);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let (from, to) = self.values;
        match self.scale {
            Scale::Linear => {
                let step = step(to);
                (0..=(to / step).round() as usize).map(|i| i as f64 * step).collect()
            }
            Scale::Logarithmic => {
                (from.log10().round() as i32..=to.log10().round() as i32).map(|power| 10_f64.powi(power)).collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, so that some five steps reach up to `most`.
fn step(most: f64) -> f64 {
    let rough = most.max(f64::MIN_POSITIVE) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power)
}

/// A number at a tick: thousands apart, no zeros at the end.
fn short(value: f64) -> String {
    if value < 1000.0 {
        let text = number(value);
        return if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    }
    let digits = format!("{value:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn put_text(svg: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = escape(text);
    put(svg, format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"));
}

fn put(svg: &mut String, element: std::fmt::Arguments<'_>) {
    writeln!(svg, "{element}").expect("writing to a String cannot fail");
}
