//! What the live view shows, and what the keys do to it. Draws nothing and asks the kernel nothing.

use std::cmp::Ordering;
use std::time::Duration;

use pfscript_compiler::manifest::MapInfo;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::output::context::Context;
use crate::output::elements::Elements;
use crate::top::samples::{Samples, Track};

/// A map that can be looked at.
pub struct Table {
    /// Its name in the script, without `@`.
    pub name: String,
    /// How its elements stand side by side.
    pub elements: Elements,
    /// What was seen of it.
    pub samples: Samples,
}

impl Table {
    /// The map that `info` tells of, not looked at yet.
    pub fn new(info: &MapInfo) -> Self {
        Self { name: info.name.clone(), elements: Elements::of(info), samples: Samples::default() }
    }

    /// What the numbers of the map are called.
    pub fn noun(&self) -> &str {
        if self.name.is_empty() { "total" } else { &self.name }
    }
}

/// By what the elements are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A part of the key (or the name of the process).
    Cell(usize),
    /// How fast they grow.
    Rate,
    /// What they have come to.
    Total,
}

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Show what has changed.
    Draw,
    /// End.
    Quit,
}

/// The state of the live view.
pub struct View {
    /// The maps, and which of them is shown.
    pub tables: Vec<Table>,
    /// The one that is shown.
    pub shown: usize,
    /// In which order.
    pub order: Order,
    /// Whether the other way round.
    pub is_reversed: bool,
    /// Only elements in which this is found are shown.
    pub filter: String,
    /// Keys go into the filter.
    pub is_typing: bool,
    /// Nothing changes.
    pub is_paused: bool,
    /// So many elements are above what is shown.
    pub above: usize,
    /// What the user must know.
    pub warning: String,
    /// Lines of the list that fit on the screen.
    pub lines: usize,
}

/// A line of the list.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What is shown of its key.
    pub cells: &'a [String],
    /// Its numbers.
    pub track: &'a Track,
}

impl View {
    /// A view of `tables`, of which `shown` is shown first.
    pub fn new(tables: Vec<Table>, shown: usize) -> Self {
        Self {
            tables,
            shown,
            order: Order::Rate,
            is_reversed: false,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            above: 0,
            warning: String::new(),
            lines: 20,
        }
    }

    /// The map that is shown.
    pub fn table(&self) -> &Table {
        &self.tables[self.shown]
    }

    /// Takes in the elements of each map, `at` this time after tracing began.
    pub fn look(&mut self, maps: Vec<Vec<(Vec<u8>, i128)>>, at: Duration) {
        for (table, elements) in self.tables.iter_mut().zip(maps) {
            table.samples.look(elements.into_iter(), at);
        }
    }

    /// Names what is new in the map that is shown, and again what can be seen: a process may have
    /// another name by now.
    pub fn name(&mut self, context: &mut Context) {
        let seen: Vec<Vec<String>> = self.lines().iter().map(|line| line.cells.to_vec()).collect();
        let Table { elements, samples, .. } = &mut self.tables[self.shown];
        for (key, track) in samples.tracks_mut() {
            if track.cells.is_empty() || seen.contains(&track.cells) {
                let cells = elements.cells(key, context);
                // The name of what has just ended is kept.
                if track.cells.is_empty() || cells.last().is_some_and(|last| !last.is_empty()) {
                    track.cells = cells;
                }
            }
        }
    }

    /// The elements that the filter lets through, in order.
    pub fn matching(&self) -> Vec<Line<'_>> {
        let wanted = self.filter.to_lowercase();
        let tracks = self.table().samples.tracks();
        let lines = tracks.map(|(_, track)| Line { cells: &track.cells, track });
        let matches = |line: &Line<'_>| line.cells.iter().any(|cell| cell.to_lowercase().contains(&wanted));
        let mut lines: Vec<_> = lines.filter(|line| wanted.is_empty() || matches(line)).collect();
        lines.sort_by(|a, b| {
            let order = self.compare(a, b);
            if self.is_reversed { order.reverse() } else { order }
        });
        lines
    }

    /// Those of them that are on the screen.
    pub fn lines(&self) -> Vec<Line<'_>> {
        self.matching().into_iter().skip(self.above).take(self.lines).collect()
    }

    /// Numbers: the greatest first, by the total among equals; texts: the first first.
    fn compare(&self, a: &Line<'_>, b: &Line<'_>) -> Ordering {
        let by_total = b.track.total.cmp(&a.track.total).then_with(|| compare_cells(a.cells, b.cells));
        match self.order {
            Order::Rate => b.track.rate.total_cmp(&a.track.rate).then(by_total),
            Order::Total => by_total,
            Order::Cell(index) => {
                compare_cells(a.cells.get(index..).unwrap_or_default(), b.cells.get(index..).unwrap_or_default())
                    .then(by_total)
            }
        }
    }

    /// Does what a key is for.
    pub fn press(&mut self, key: KeyEvent) -> Then {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if is_control => return Then::Quit,
            KeyCode::Up => self.above = self.above.saturating_sub(1),
            KeyCode::Down => self.above += 1,
            KeyCode::PageUp => self.above = self.above.saturating_sub(self.lines),
            KeyCode::PageDown => self.above += self.lines,
            KeyCode::Home => self.above = 0,
            KeyCode::Left => self.sort_by(-1),
            KeyCode::Right => self.sort_by(1),
            KeyCode::Tab => self.show_next_map(),
            _ if self.is_typing => self.type_in(key.code),
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('q') => return Then::Quit,
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('/' | 'f') => self.is_typing = true,
            KeyCode::Char('s') => self.sort_by(1),
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            _ => {}
        }
        self.above = self.above.min(self.matching().len().saturating_sub(1));
        Then::Draw
    }

    fn type_in(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char(letter) => self.filter.push(letter),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Esc => {
                self.filter.clear();
                self.is_typing = false;
            }
            KeyCode::Enter => self.is_typing = false,
            _ => {}
        }
    }

    fn show_next_map(&mut self) {
        self.shown = (self.shown + 1) % self.tables.len();
        (self.order, self.above) = (Order::Rate, 0);
    }

    /// Takes the next column to the right or left for the order, in a ring.
    fn sort_by(&mut self, step: isize) {
        let orders = self.orders();
        let at = orders.iter().position(|&order| order == self.order).unwrap_or(0);
        self.order = orders[(at as isize + step).rem_euclid(orders.len() as isize) as usize];
    }

    /// The columns from left to right.
    pub fn orders(&self) -> Vec<Order> {
        let cells = (0..self.table().elements.headings().len()).map(Order::Cell);
        cells.chain([Order::Rate, Order::Total]).collect()
    }
}

/// Numbers by their value, other texts as texts.
fn compare_cells(a: &[String], b: &[String]) -> Ordering {
    let compare = |(a, b): (&String, &String)| match (a.parse::<i128>(), b.parse::<i128>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    };
    a.iter().zip(b).map(compare).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::sample;

    /// Three processes, of which number 2 grows fastest and number 1 has most.
    fn view() -> View {
        let (mut info, _) = sample::data_map();
        info.key_names = vec!["pid".into(), "comm".into()];
        let mut view = View::new(vec![Table::new(&info), Table::new(&info)], 0);
        let key = |pid: u8, comm: &str| [&[pid, 0, 0, 0], comm.as_bytes()].concat();
        for (at, faults) in [(1, [900, 10, 50]), (2, [901, 110, 60])] {
            let elements = [(key(1, "bash"), faults[0]), (key(2, "gcc\0"), faults[1]), (key(10, "cc1\0"), faults[2])];
            view.look(vec![elements.to_vec(), elements.to_vec()], Duration::from_secs(at));
        }
        view.name(&mut Context::default());
        view
    }

    fn names(view: &View) -> Vec<&str> {
        view.lines().iter().map(|line| line.cells[1].as_str()).collect()
    }

    fn press(view: &mut View, keys: &str) {
        for key in keys.chars() {
            let code = match key {
                '<' => KeyCode::Left,
                '>' => KeyCode::Right,
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\x1b' => KeyCode::Esc,
                '\x08' => KeyCode::Backspace,
                'v' => KeyCode::Down,
                letter => KeyCode::Char(letter),
            };
            assert_eq!(view.press(code.into()), Then::Draw, "{key:?}");
        }
    }

    #[test]
    fn the_fastest_is_first() {
        assert_eq!(names(&view()), ["gcc", "cc1", "bash"]);
    }

    #[test]
    fn any_column_can_be_sorted_by() {
        let mut view = view();
        for (keys, expected) in [
            (">", ["bash", "gcc", "cc1"]),
            (">", ["bash", "gcc", "cc1"]),
            ("r", ["cc1", "gcc", "bash"]),
            ("s", ["gcc", "cc1", "bash"]),
            ("r>", ["gcc", "cc1", "bash"]),
        ] {
            press(&mut view, keys);
            assert_eq!(names(&view), expected, "{keys} {:?}", view.order);
        }
    }

    #[test]
    fn what_is_typed_is_filtered_by() {
        let mut view = view();
        press(&mut view, "/q\x08cc");
        assert_eq!(names(&view), ["gcc", "cc1"]);
        press(&mut view, "1\n");
        assert_eq!((names(&view), view.is_typing), (vec!["cc1"], false));
        press(&mut view, "\x1b");
        assert_eq!(names(&view).len(), 3);
        press(&mut view, "/10\x1b");
        assert_eq!((names(&view).len(), view.is_typing), (3, false));
    }

    #[test]
    fn the_list_scrolls_as_far_as_it_is_long() {
        let mut view = view();
        view.lines = 2;
        press(&mut view, "v");
        assert_eq!(names(&view), ["cc1", "bash"]);
        press(&mut view, "vvvv");
        assert_eq!(names(&view), ["bash"]);
    }

    #[test]
    fn q_and_control_c_quit_but_q_can_be_typed() {
        let mut view = view();
        assert_eq!(view.press(KeyCode::Char('q').into()), Then::Quit);
        press(&mut view, "/q");
        assert_eq!(view.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Then::Quit);
    }

    #[test]
    fn tab_shows_the_next_map_in_a_ring() {
        let mut view = view();
        press(&mut view, "\t");
        assert_eq!(view.shown, 1);
        press(&mut view, "\t");
        assert_eq!(view.shown, 0);
    }
}
