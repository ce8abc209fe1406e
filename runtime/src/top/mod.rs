//! The live view (`--top`): the elements of a map, the fastest growing first, looked at each second.
//!
//! The session knows nothing of it. [`Top`] is its sink, which learns what the maps are, what was
//! retired from them, and when tracing begins and ends; `show` is what the session waits for: it
//! looks, draws and reads keys on the session's own thread. Both share one state. What a script
//! reports goes to another sink (a file), and what must be said after the screen was given back too.

mod draw;
mod samples;
mod view;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, BufWriter, Stdout};
use std::rc::Rc;
use std::time::{Duration, Instant};

use aya::maps::MapData;
use pfscript_compiler::manifest::{Action, Manifest, MapInfo, MapRef};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::datum::Datum;
use crate::maps::{self, Row};
use crate::output::Report;
use crate::output::context::Context;
use crate::output::elements::{has_number, number};
use crate::session::Until;
use crate::sink::Sink;
use crate::symbols::stacks::Stacks;
use crate::sys::map::{OwnedMap, RawMap};
use crate::sys::terminal::Screen;
use crate::top::draw::{Styles, draw};
use crate::top::view::{Table, Then, View};

/// How often the maps are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// So many remarks of the script are kept until they can be seen: the first ones.
const HELD: usize = 1000;
/// How often keys are read.
const KEYS: Duration = Duration::from_millis(40);

/// The maps of a script that can be shown, in the order of the script: those with keys whose
/// elements have a number.
pub fn maps(manifest: &Manifest) -> impl Iterator<Item = (MapRef, &MapInfo)> {
    let all = manifest.maps.iter().zip(0..).map(|(info, index)| (MapRef(index), info));
    let mut shown: Vec<_> = all.filter(|(_, info)| !info.key.is_empty() && has_number(&info.value)).collect();
    shown.sort_by_key(|(_, info)| info.span.start);
    shown.into_iter()
}

/// The map that is to be shown first: the one called `name` (with or without `@`), or with no name
/// the script's first.
///
/// # Errors
/// What is wrong with that, and which maps there are.
pub fn choose(manifest: &Manifest, name: &str) -> Result<MapRef, String> {
    let name = name.strip_prefix('@').unwrap_or(name);
    let names: Vec<_> = maps(manifest).map(|(_, info)| format!("@{}", info.name)).collect();
    let found = maps(manifest).find(|(_, info)| name.is_empty() || info.name == name);
    match (found, names.as_slice()) {
        (Some((map, _)), _) => Ok(map),
        (None, []) => Err("--top shows a map with keys and numbers, and this script has none".to_owned()),
        (None, names) => Err(format!("--top cannot show @{name}, the maps that it can show are {}", names.join(", "))),
    }
}

/// What sink and screen share.
struct State {
    view: View,
    /// In the order of the view's tables: the map in the manifest and, once it is known, in the kernel.
    maps: Vec<(MapRef, MapInfo, Option<OwnedMap>)>,
    context: Context,
    began: Option<Instant>,
    screen: Option<Screen>,
}

/// The session's sink while the live view is shown.
pub struct Top<'a> {
    state: Rc<RefCell<State>>,
    manifest: &'a Manifest,
    inner: &'a mut dyn Sink,
    /// What the script had to say while the screen was taken, to be said behind it.
    held: VecDeque<(usize, Vec<u8>)>,
}

/// A live view of the maps of `manifest`, `first` being shown first, and the sink for it, which
/// passes on to `inner` what is to be printed.
///
/// What the session is to wait for shows it until the user has seen enough, or until what was to be
/// waited for anyway has come.
pub fn live<'a>(
    manifest: &'a Manifest,
    first: MapRef,
    has_colors: bool,
    inner: &'a mut dyn Sink,
    until: Option<Until>,
) -> (Top<'a>, Until) {
    let maps: Vec<_> = maps(manifest).map(|(map, info)| (map, info.clone(), None)).collect();
    let shown = maps.iter().position(|(map, ..)| *map == first).unwrap_or(0);
    let view = View::new(maps.iter().map(|(_, info, _)| Table::new(info)).collect(), shown);
    let state = State { view, maps, context: Context::default(), began: None, screen: None };
    let state = Rc::new(RefCell::new(state));
    let seen = show(Rc::clone(&state), Styles::new(has_colors));
    let until: Until = match until {
        None => Box::pin(seen),
        Some(until) => Box::pin(async {
            tokio::select! {
                code = seen => code,
                code = until => code,
            }
        }),
    };
    (Top { state, manifest, inner, held: VecDeque::new() }, until)
}

/// Draws once a second and after each key, until one of them quits or the terminal is gone.
async fn show(state: Rc<RefCell<State>>, styles: Styles) -> i32 {
    let mut terminal: Option<Terminal<CrosstermBackend<BufWriter<Stdout>>>> = None;
    let mut next_look = Duration::ZERO;
    loop {
        let began = state.borrow().began;
        if let Some(began) = began {
            let mut state = state.borrow_mut();
            let shown = state.frame(&mut terminal, began.elapsed(), &mut next_look, styles);
            if shown.is_err() || matches!(shown, Ok(Then::Quit)) {
                return 0;
            }
        }
        tokio::time::sleep(KEYS).await;
    }
}

impl State {
    fn frame(
        &mut self,
        terminal: &mut Option<Terminal<CrosstermBackend<BufWriter<Stdout>>>>,
        at: Duration,
        next_look: &mut Duration,
        styles: Styles,
    ) -> io::Result<Then> {
        let mut has_changed = false;
        if at >= *next_look {
            *next_look = at + LOOK;
            if !self.view.is_paused {
                self.look(at)?;
            }
            has_changed = true;
        }
        while event::poll(Duration::ZERO)? {
            has_changed = true;
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && self.view.press(key) == Then::Quit
            {
                return Ok(Then::Quit);
            }
        }
        if has_changed {
            let terminal = match terminal {
                Some(terminal) => terminal,
                None => terminal.insert(Terminal::new(CrosstermBackend::new(BufWriter::new(io::stdout())))?),
            };
            self.view.name(&mut self.context);
            terminal.draw(|frame| draw(&mut self.view, frame.buffer_mut(), styles))?;
        }
        Ok(Then::Draw)
    }

    fn look(&mut self, at: Duration) -> io::Result<()> {
        let mut all = Vec::new();
        for (_, info, map) in &self.maps {
            let rows = map.as_ref().map_or(Ok(Vec::new()), |map| maps::entries_of(&map.raw(), info))?;
            all.push(rows.into_iter().map(|row| (row.key, number(&info.value, &row.value))).collect());
        }
        self.context.stacks.look_again();
        self.view.look(all, at);
        Ok(())
    }
}

impl Sink for Top<'_> {
    fn record(&mut self, layout: usize, bytes: &[u8]) -> io::Result<()> {
        let is_remark = matches!(self.manifest.records[layout].action, Action::Complain { .. });
        if is_remark && self.state.borrow().screen.is_some() {
            self.held.push_back((layout, bytes.to_vec()));
            self.held.truncate(HELD);
            return Ok(());
        }
        self.inner.record(layout, bytes)
    }

    fn map(&mut self, map: MapRef, data: &MapData, top: Option<u64>, div: Option<u64>) -> io::Result<()> {
        self.inner.map(map, data, top, div)
    }

    fn unwritten(&self) -> u64 {
        self.inner.unwritten()
    }

    fn element(&mut self, map: MapRef, row: &Row) -> io::Result<()> {
        self.inner.element(map, row)
    }

    fn retired(&mut self, map: MapRef, layout: usize, bytes: &[u8]) -> io::Result<()> {
        let value = Report::new(&self.manifest.records, layout, bytes).values().next();
        let state = &mut *self.state.borrow_mut();
        let index = state.maps.iter().position(|(known, ..)| *known == map);
        if let (Some(index), Some(Datum::Int(value))) = (index, value) {
            state.view.tables[index].samples.retire(value.value());
        }
        self.inner.retired(map, layout, bytes)
    }

    fn summary(&mut self, map: MapRef, data: &MapData, layout: usize, bytes: &[u8]) -> io::Result<()> {
        self.inner.summary(map, data, layout, bytes)
    }

    fn maps(&mut self, maps: &[Option<&MapData>]) -> io::Result<()> {
        for (map, _, owned) in &mut self.state.borrow_mut().maps {
            if let Some(data) = maps.get(map.0 as usize).copied().flatten() {
                *owned = Some(RawMap::of(data).map_err(io::Error::other)?.duplicate()?);
            }
        }
        self.inner.maps(maps)
    }

    fn stacks(&mut self, maps: &[(u32, &MapData)]) -> io::Result<()> {
        let own =
            |&(depth, map): &(u32, &MapData)| Ok((depth, RawMap::of(map).map_err(io::Error::other)?.duplicate()?));
        let own = maps.iter().map(own).collect::<io::Result<_>>()?;
        self.state.borrow_mut().context.stacks = Stacks::new(own, self.manifest)?;
        self.inner.stacks(maps)
    }

    fn remaining_maps(&mut self) {
        self.inner.remaining_maps();
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    fn tracing_began(&mut self) -> io::Result<()> {
        self.inner.tracing_began()?;
        let state = &mut *self.state.borrow_mut();
        state.screen = Some(Screen::enter()?);
        state.began = Some(Instant::now());
        Ok(())
    }

    fn tracing_ended(&mut self) {
        let state = &mut *self.state.borrow_mut();
        (state.began, state.screen) = (None, None);
        self.inner.tracing_ended();
        for (layout, bytes) in self.held.drain(..) {
            // Nothing is written but what the script has to say, for which there is stderr.
            let _ = self.inner.record(layout, &bytes);
        }
    }

    fn ended(&mut self, losses: &[String]) {
        self.inner.ended(losses);
    }

    fn warn(&mut self, text: &str) {
        let state = &mut *self.state.borrow_mut();
        match state.screen {
            Some(_) => text.clone_into(&mut state.view.warning),
            None => self.inner.warn(text),
        }
    }

    fn note(&mut self, text: &str) {
        if self.state.borrow().screen.is_none() {
            self.inner.note(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use pfscript_compiler::manifest::MapKind;

    use super::*;
    use crate::output::sample;

    fn manifest(names: &[&str]) -> Manifest {
        let named = |name: &&str| MapInfo { name: (*name).to_owned(), ..sample::data_map().0 };
        let scalar = MapInfo { kind: MapKind::Array, ..sample::stats_map().0 };
        Manifest { maps: std::iter::once(scalar).chain(names.iter().map(named)).collect(), ..Manifest::default() }
    }

    #[test]
    fn the_first_map_with_keys_is_shown_or_the_one_named() {
        let manifest = manifest(&["faults", "sizes"]);
        assert_eq!(choose(&manifest, ""), Ok(MapRef(1)));
        assert_eq!(choose(&manifest, "sizes"), Ok(MapRef(2)));
        assert_eq!(choose(&manifest, "@sizes"), Ok(MapRef(2)));
    }

    #[test]
    fn what_cannot_be_shown_is_told_with_what_can() {
        let told = choose(&manifest(&["faults", "sizes"]), "@s").expect_err("there is none");
        assert_eq!(told, "--top cannot show @s, the maps that it can show are @faults, @sizes");
        let told = choose(&manifest(&[]), "").expect_err("there is none");
        assert!(told.ends_with("this script has none"), "{told}");
    }
}
