//! The ratios as a picture: for each figure a bar for each tool, pfscript being 1.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Figure, median};

/// Pixels.
const WIDTH: u32 = 960;
const BAR: i32 = 12;
const LABELS: i32 = 400;
const TOP: i32 = 46;

/// Draws the figures that more than one tool has, on a logarithmic scale.
///
/// # Errors
/// The file cannot be written.
pub fn ratios(file: &Path, tools: &[&str], figures: &[Figure]) -> Result<(), Box<dyn Error>> {
    let shown: Vec<_> = figures.iter().filter_map(|figure| Some((figure.name.as_str(), ratios_of(figure)?))).collect();
    let rows: usize = shown.iter().map(|(_, ratios)| ratios.len() + 1).sum();
    let size = (WIDTH, TOP as u32 + rows as u32 * BAR as u32 + 10);
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE)?;
    let text = ("sans-serif", 12).into_font();
    let title = "times pfscript's own figure (1 = the line; less is better; logarithmic)";
    area.draw(&Text::new(title, (10, 8), ("sans-serif", 15).into_font()))?;
    let all = || shown.iter().flat_map(|(_, ratios)| ratios.iter().map(|&(_, ratio)| ratio));
    let (least, most) = (all().fold(1.0, f64::min).ln(), all().fold(1.0, f64::max).ln());
    let scale = f64::from(WIDTH as i32 - LABELS - 80) / (most - least).max(0.1);
    let x = |ratio: f64| LABELS + ((ratio.ln() - least) * scale) as i32;
    let right = text.clone().into_text_style(&area).pos(Pos::new(HPos::Right, VPos::Center));
    let left = text.into_text_style(&area).pos(Pos::new(HPos::Left, VPos::Center));
    let mut y = TOP;
    for (name, ratios) in &shown {
        area.draw(&Text::new(name.to_string(), (LABELS - 130, y + BAR / 2), right.clone()))?;
        for &(tool, ratio) in ratios {
            let colour = Palette99::pick(tool);
            let (from, to) = (x(1.0).min(x(ratio)), x(1.0).max(x(ratio)));
            area.draw(&Rectangle::new([(from, y + 2), (to.max(from + 2), y + BAR - 1)], colour.filled()))?;
            area.draw(&Text::new(tools[tool].to_owned(), (LABELS - 10, y + BAR / 2), right.clone()))?;
            area.draw(&Text::new(format!("{ratio:.2}"), (to + 5, y + BAR / 2), left.clone()))?;
            y += BAR;
        }
        y += BAR;
    }
    area.draw(&PathElement::new([(x(1.0), TOP - 10), (x(1.0), y)], BLACK))?;
    Ok(area.present()?)
}

/// Of each other tool that has the figure, how many times pfscript's it is.
fn ratios_of(figure: &Figure) -> Option<Vec<(usize, f64)>> {
    let own = median(figure.samples.first()?).filter(|own| *own > 0.0)?;
    let others = figure.samples.iter().enumerate().skip(1);
    let ratios: Vec<_> = others.filter_map(|(tool, samples)| Some((tool, median(samples)? / own))).collect();
    let drawn: Vec<_> = ratios.into_iter().filter(|&(_, ratio)| ratio > 0.0).collect();
    (!drawn.is_empty()).then_some(drawn)
}
