//! The live view on the screen: a line of totals, a heading, the list, a line of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::output::text::columns;
use crate::top::samples::HISTORY;
use crate::top::view::{Line, Order, View};

/// What the keys do, as long as there is nothing else to say.
const KEYS: &str = "q quit  p pause  / filter  ←→ sort  r reverse  ↑↓ scroll";
/// Between two columns.
const GAP: u16 = 2;
/// From nothing to the greatest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How things look.
#[derive(Clone, Copy, Debug)]
pub struct Styles {
    strong: Style,
    heading: Style,
    sorted: Style,
    bars: Style,
    warning: Style,
}

impl Styles {
    /// With colours, or without.
    pub fn new(has_colors: bool) -> Self {
        let plain = Style::new();
        let colored = |style: Style, color| if has_colors { style.fg(color) } else { style };
        let heading = plain.add_modifier(Modifier::REVERSED);
        Self {
            strong: plain.add_modifier(Modifier::BOLD),
            heading,
            sorted: colored(heading.add_modifier(Modifier::BOLD), Color::Cyan),
            bars: colored(plain, Color::Cyan),
            warning: colored(plain.add_modifier(Modifier::BOLD), Color::Red),
        }
    }
}

/// A column of the list.
struct Column {
    heading: String,
    cells: Vec<String>,
    width: u16,
    is_number: bool,
    order: Order,
}

/// Draws `view` on the whole of `screen`, and remembers how many lines of the list fit.
pub fn draw(view: &mut View, screen: &mut Buffer, styles: Styles) {
    let Rect { width, height, .. } = screen.area;
    view.lines = usize::from(height.saturating_sub(4));
    screen.set_stringn(0, 0, totals(view), width.into(), styles.strong);
    if view.lines > 0 {
        draw_list(view, screen, styles);
    }
    let (text, style) = bottom(view, styles);
    screen.set_stringn(0, height.saturating_sub(1), text, width.into(), style);
}

/// `faults 523400, 12300/s  184 processes, 59 ended  for 12 s  paused`
fn totals(view: &View) -> String {
    let (table, samples) = (view.table(), &view.table().samples);
    let ended = match samples.retired() {
        0 => String::new(),
        retired => format!(", {retired} ended"),
    };
    format!(
        "{} {}, {}/s  {}{ended}  for {} s{}",
        table.noun(),
        samples.total(),
        rate(samples.rate()),
        table.elements.counted(samples.count() as u64),
        samples.at().as_secs(),
        if view.is_paused { "  paused" } else { "" },
    )
}

fn bottom(view: &View, styles: Styles) -> (String, Style) {
    if view.is_typing || !view.filter.is_empty() {
        let cursor = if view.is_typing { "▏" } else { "" };
        return (format!("/{}{cursor}  {} shown; Esc shows all", view.filter, view.matching().len()), styles.strong);
    }
    if !view.warning.is_empty() {
        return (view.warning.clone(), styles.warning);
    }
    let maps = if view.tables.len() > 1 { "  Tab next map" } else { "" };
    (format!("{KEYS}{maps}"), Style::new())
}

fn draw_list(view: &View, screen: &mut Buffer, styles: Styles) {
    const TOP: u16 = 2;
    let lines = view.lines();
    let width = screen.area.width;
    let mut left = 0;
    for column in listed(view, &lines) {
        if left >= width {
            return;
        }
        let room = column.width.min(width.saturating_sub(left));
        let sorted = if column.order == view.order { styles.sorted } else { styles.heading };
        let at = |text: &str| {
            let spare = column.width.saturating_sub(columns(text.as_bytes()) as u16);
            (left + if column.is_number { spare } else { 0 }).min(width - 1)
        };
        screen.set_style(Rect::new(left, TOP, (room + GAP).min(width.saturating_sub(left)), 1), sorted);
        screen.set_stringn(at(&column.heading), TOP, &column.heading, room.into(), sorted);
        for (cell, y) in column.cells.iter().zip(TOP + 1..) {
            screen.set_stringn(at(cell), y, cell, room.into(), Style::new());
        }
        left = (left + column.width + GAP).min(width);
    }
    if left >= width {
        return;
    }
    let room = usize::from(width - left);
    screen.set_style(Rect::new(left, TOP, room as u16, 1), styles.heading);
    for (line, y) in lines.iter().zip(TOP + 1..) {
        screen.set_stringn(left, y, bars(line, room), room, styles.bars);
    }
}

/// The columns: the key's parts, then the two numbers.
fn listed(view: &View, lines: &[Line<'_>]) -> Vec<Column> {
    let table = view.table();
    let mut headings = table.elements.headings();
    headings.extend(["RATE/s".to_owned(), table.noun().to_uppercase()]);
    // Room to grow in, so that columns stay where they are.
    let least = table.elements.widths().into_iter().chain([9, 9]);
    let column = |((heading, order), least): ((String, Order), usize)| {
        let cells: Vec<_> = lines.iter().map(|line| cell(line, order)).collect();
        let is_sorted = order == view.order;
        let arrow = if view.is_reversed { "▴" } else { "▾" };
        let heading = if is_sorted { format!("{heading}{arrow}") } else { format!("{heading} ") };
        let widest = cells.iter().chain([&heading]).map(|cell| columns(cell.as_bytes())).max().unwrap_or(0);
        let is_number = !matches!(order, Order::Cell(_));
        Column { heading, cells, width: widest.max(least) as u16, is_number, order }
    };
    headings.into_iter().zip(view.orders()).zip(least).map(column).collect()
}

fn cell(line: &Line<'_>, order: Order) -> String {
    match order {
        Order::Cell(index) => line.cells.get(index).cloned().unwrap_or_default(),
        Order::Rate => rate(line.track.rate),
        Order::Total => line.track.total.to_string(),
    }
}

fn rate(rate: f64) -> String {
    if rate == 0.0 || rate >= 9.95 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// The last rates of an element as a line of bars, the greatest of them the highest; one below the
/// other are those of the same second.
fn bars(line: &Line<'_>, room: usize) -> String {
    let (history, room) = (&line.track.history, room.min(HISTORY));
    let most = history.iter().copied().fold(0.0, f64::max);
    let bar = |&rate: &f64| match rate {
        _ if rate <= 0.0 => ' ',
        _ => BARS[((rate / most * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    let before = std::iter::repeat_n(' ', room.saturating_sub(history.len()));
    before.chain(history.iter().skip(history.len().saturating_sub(room)).map(bar)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::output::context::Context;
    use crate::output::sample;
    use crate::top::view::Table;

    fn view() -> View {
        let (mut info, _) = sample::data_map();
        info.name = "faults".into();
        info.key_names = vec!["pid".into(), "comm".into()];
        let mut view = View::new(vec![Table::new(&info)], 0);
        let key = |pid: u8, comm: &str| [&[pid, 0, 0, 0], comm.as_bytes()].concat();
        for (at, faults) in [(1, [12_800, 1]), (2, [12_801, 1]), (3, [112_801, 1])] {
            let elements = [(key(7, "gcc\0"), faults[0]), (key(9, "日\0"), faults[1])];
            view.look(vec![elements.to_vec()], Duration::from_secs(at));
        }
        view.name(&mut Context::default());
        view
    }

    /// What is on a screen of that size.
    fn drawn(view: &mut View, width: u16, height: u16) -> Vec<String> {
        let mut screen = Buffer::empty(Rect::new(0, 0, width, height));
        draw(view, &mut screen, Styles::new(false));
        let line = |y| (0..width).map(|x| screen[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    #[test]
    fn the_screen_has_totals_list_and_keys() {
        let expected = [
            "faults 112802, 100000/s  2 keys  for 3 s",
            "",
            "PID      COMM                RATE/s▾    FAULTS",
            "7        gcc                  100000     112801                              ▂▁█",
            // The cell behind a wide character is a blank here, and covered on a screen.
            "9        日                         0          1                              █",
            "",
            KEYS,
        ];
        assert_eq!(drawn(&mut view(), 80, 7), expected);
    }

    #[test]
    fn numbers_keep_their_columns() {
        let mut view = view();
        (view.order, view.is_reversed) = (Order::Cell(0), true);
        let lines = drawn(&mut view, 80, 7);
        assert_eq!(lines[2], "PID▴     COMM                RATE/s     FAULTS");
        assert!(
            lines[3].starts_with("9  ") && lines[4].ends_with("112801                              ▂▁█"),
            "{lines:?}"
        );
    }

    #[test]
    fn the_last_line_is_the_filter_a_warning_or_the_keys() {
        let mut view = view();
        view.warning = "events are being lost".into();
        assert_eq!(drawn(&mut view, 80, 7)[6], "events are being lost");
        (view.filter, view.is_typing) = ("GC".into(), true);
        let lines = drawn(&mut view, 80, 7);
        assert_eq!((lines[4].as_str(), lines[6].as_str()), ("", "/GC▏  1 shown; Esc shows all"));
    }

    #[test]
    fn any_size_of_screen_will_do() {
        for (width, height) in [(1, 1), (10, 3), (20, 5), (300, 100)] {
            drawn(&mut view(), width, height);
        }
    }
}
