//! Medians, ratios, and their two forms: a Markdown table and JSON.

use serde_json::{Value, json};

/// All samples of one figure.
pub struct Figure {
    /// What it is, with its unit.
    pub name: String,
    /// Of each tool, in the order of the tools, the samples; none where it has no such figure.
    pub samples: Vec<Vec<f64>>,
}

/// The middle one; `None` of nothing.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Half of what the middle half of the samples covers; `None` of fewer than four.
pub fn spread(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quarter = sorted.len() / 4;
    (quarter > 0).then(|| (sorted[sorted.len() - 1 - quarter] - sorted[quarter]) / 2.0)
}

/// A row for each figure: the median of each tool, its spread, and how many times that of the first it is.
pub fn markdown(tools: &[&str], figures: &[Figure]) -> String {
    let mut text = format!("| | {} |\n|---|{}\n", tools.join(" | "), "---:|".repeat(tools.len()));
    for figure in figures {
        let first = figure.samples.first().and_then(|samples| median(samples));
        let cells = figure.samples.iter().enumerate().map(|(place, samples)| match (median(samples), first) {
            (Some(own), Some(first)) if place > 0 && first > 0.0 => {
                format!("{}{} ({:.2}x)", number(own), plus_minus(samples), own / first)
            }
            (Some(own), _) => number(own) + &plus_minus(samples),
            (None, _) => "-".to_owned(),
        });
        text += &format!("| {} | {} |\n", figure.name, cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// Every sample, for those who want to compute something else.
pub fn json(tools: &[&str], absent: &[String], figures: &[Figure]) -> Value {
    let figures = figures.iter().map(|figure| {
        let of_tools = tools.iter().zip(&figure.samples);
        let samples =
            of_tools.map(|(tool, samples)| json!({"tool": tool, "median": median(samples), "spread": spread(samples), "samples": samples}));
        json!({"figure": figure.name, "tools": samples.collect::<Vec<_>>()})
    });
    json!({"absent": absent, "figures": figures.collect::<Vec<_>>()})
}

fn plus_minus(samples: &[f64]) -> String {
    spread(samples).map(|spread| format!(" ±{}", number(spread))).unwrap_or_default()
}

fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
