//! Flame graphs: folded stacks drawn as one SVG file, which a browser shows and searches. The only
//! file that knows inferno.

use std::io;

use inferno::flamegraph::color::{MultiPalette, Palette};
use inferno::flamegraph::{self, Options};
use pfscript_compiler::manifest::{Manifest, MapInfo};

use crate::maps::Row;
use crate::output::Destination;
use crate::output::context::Context;
use crate::output::folded::Folds;

/// A picture that waits for all of its stacks.
pub struct FlameGraph {
    to: Destination,
    title: String,
    /// What a stack's weight counts: the map's name.
    unit: Option<String>,
    folds: Folds,
}

impl FlameGraph {
    /// A picture of the maps of `manifest` that have stacks.
    pub fn new(manifest: &Manifest, to: Destination, title: &str) -> Self {
        Self { to, title: title.to_owned(), unit: None, folds: Folds::of(manifest) }
    }

    /// Adds a map's rows, numbers divided by `div`.
    pub fn add(&mut self, info: &MapInfo, rows: &[Row], div: u64, context: &mut Context) {
        self.unit.get_or_insert_with(|| info.name.clone());
        self.folds.add(info, rows, div, context);
    }

    /// Whether there is nothing to be drawn.
    pub fn is_empty(&self) -> bool {
        self.folds.is_empty()
    }

    /// Draws it. Without a single stack it says so in the picture.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn draw(mut self) -> io::Result<()> {
        let svg = draw(&self.folds, self.title, self.unit.unwrap_or_default())?;
        self.to.write_all(&svg)
    }
}

fn draw(folds: &Folds, title: String, unit: String) -> io::Result<Vec<u8>> {
    let lines: Vec<_> = folds.lines().map(|line| String::from_utf8_lossy(&line).into_owned()).collect();
    let mut options = Options::default();
    // Frames of the kernel (marked by `_[k]`) are orange, of C++ and Rust yellow, others red.
    options.colors = Palette::Multi(MultiPalette::Perl);
    // The same stacks make the same picture.
    options.deterministic = true;
    options.title = title;
    if !unit.is_empty() {
        options.count_name = unit;
    }
    let mut svg = Vec::new();
    match flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut svg) {
        // That there was nothing to draw is in the picture.
        Err(_) if lines.is_empty() && !svg.is_empty() => Ok(svg),
        drawn => drawn.map(|()| svg),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::sample;

    fn drawn(folds: &Folds) -> String {
        String::from_utf8(draw(folds, "a <script>".into(), "faults".into()).expect("drawn")).expect("UTF-8")
    }

    #[test]
    fn a_frame_is_a_box_with_what_it_weighs() {
        let (info, rows) = sample::data_map();
        let mut folds = Folds::default();
        folds.add(&info, &rows, 1, &mut Context::default());
        let svg = drawn(&folds);
        assert!(svg.contains("<title>2 (9 faults, 100.00%)</title>"), "{svg}");
        assert!(svg.contains("a &lt;script&gt;") && !svg.contains("a <script>"), "text is escaped");
        assert_eq!(svg, drawn(&folds), "the same each time");
    }

    #[test]
    fn nothing_to_draw_is_told_in_the_picture() {
        let svg = drawn(&Folds::default());
        assert!(svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("No valid input"), "{svg}");
    }
}
