//! A picture of a terminal's screen, as SVG: what README.md shows of the live view.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

/// Of one character, in pixels.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;
/// Around the screen.
const MARGIN: f64 = 12.0;
const BACKGROUND: &str = "#1b1f24";
const FOREGROUND: &str = "#d7dce2";
/// What is said to screen readers, and where there is no picture.
const TITLE: &str = "pfscript --top";

/// Draws a screen: first what is behind the text, then the text, run by run of one look.
pub fn svg(screen: &Screen) -> String {
    let (lines, columns) = screen.size();
    let (width, height) =
        (f64::from(columns.get()) * WIDTH + 2.0 * MARGIN, f64::from(lines.get()) * HEIGHT + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" role=\"img\">\n\
         <title>{TITLE}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\" \
         xml:space=\"preserve\">\n",
    );
    for line in 0..lines.get() {
        push_line(&mut out, screen, line, columns.get());
    }
    out + "</g>\n</svg>\n"
}

fn push_line(out: &mut String, screen: &Screen, line: u16, columns: u16) {
    let mut column = 0;
    while column < columns {
        let look = |column| screen.cell(line, column).map(looks).unwrap_or_default();
        let (first, own) = (column, look(column));
        let mut text = String::new();
        while column < columns && look(column) == own {
            let cell = screen.cell(line, column).map_or("", Cell::contents);
            text += if cell.is_empty() { " " } else { cell };
            column += 1;
        }
        push_run(out, (line, first, column - first), &text, &own);
    }
}

/// How a character looks: colours, and whether it is bold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Looks {
    text: String,
    behind: Option<String>,
    bold: bool,
}

fn looks(cell: &Cell) -> Looks {
    let color = match cell.fgcolor() {
        Color::Idx(1 | 9) => "#f47067",
        Color::Idx(6 | 14) => "#39c5cf",
        _ => FOREGROUND,
    };
    let bold = cell.bold();
    if cell.inverse() {
        Looks { text: BACKGROUND.to_owned(), behind: Some(color.to_owned()), bold }
    } else {
        Looks { text: color.to_owned(), behind: None, bold }
    }
}

fn push_run(out: &mut String, (line, column, length): (u16, u16, u16), text: &str, looks: &Looks) {
    let (x, y) = (MARGIN + f64::from(column) * WIDTH, MARGIN + f64::from(line) * HEIGHT);
    let width = f64::from(length) * WIDTH;
    if let Some(behind) = &looks.behind {
        writeln!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"{behind}\"/>")
            .expect("a String takes everything");
    }
    let text = text.trim_end();
    if text.is_empty() {
        return;
    }
    let (baseline, weight) = (y + 13.5, if looks.bold { " font-weight=\"bold\"" } else { "" });
    let length = text.chars().count() as f64 * WIDTH;
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{baseline:.1}\" textLength=\"{length:.1}\" fill=\"{}\"{weight}>{text}</text>",
        looks.text
    )
    .expect("a String takes everything");
}
