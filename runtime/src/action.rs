//! What user space does when a record arrives: hand it to the sink, or act on the session's maps.

use std::io;
use std::ops::ControlFlow;

use pfscript_compiler::manifest::{Action, Manifest, MapKind, MapRef, RecordField, RecordLayout};

use crate::event::{bytes_at, integer_at};
use crate::load::Loader;
use crate::maps::{self, Row};
use crate::sink::Sink;
use crate::sys::map::RawMap;

/// Why no further record is to be handed out.
#[derive(Debug)]
pub enum Stop {
    /// The script called `exit()` with this code, or enough events have been reported.
    Ended(i32),
    /// The sink failed.
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Whether a record is an event that the user sees, rather than something for us to do.
pub fn is_event(action: &Action) -> bool {
    matches!(action, Action::Emit { .. } | Action::Printf(_) | Action::Time(_))
}

/// Carries out records in their order.
pub struct Actor<'a> {
    manifest: &'a Manifest,
    loader: &'a Loader<'a>,
    sink: &'a mut dyn Sink,
    events_left: &'a mut Option<u64>,
}

impl<'a> Actor<'a> {
    /// An actor on the maps of `loader`; `events_left` counts down with each reported event.
    pub fn new(
        manifest: &'a Manifest,
        loader: &'a Loader<'a>,
        sink: &'a mut dyn Sink,
        events_left: &'a mut Option<u64>,
    ) -> Self {
        Self { manifest, loader, sink, events_left }
    }

    /// Does what the layout says with a record of that layout.
    pub fn act(&mut self, layout: usize, bytes: &[u8]) -> ControlFlow<Stop> {
        match self.try_act(layout, bytes) {
            Ok(()) => ControlFlow::Continue(()),
            Err(stop) => ControlFlow::Break(stop),
        }
    }

    fn try_act(&mut self, layout: usize, bytes: &[u8]) -> Result<(), Stop> {
        // The orderer gives only indices of layouts that exist.
        let Some(RecordLayout { action, fields, .. }) = self.manifest.records.get(layout) else { return Ok(()) };
        match action {
            Action::Emit { .. } | Action::Printf(_) | Action::PrintValue(_) | Action::Time(_) => {
                self.report(layout, bytes)
            }
            Action::Complain { .. } => Ok(self.sink.record(layout, bytes)?),
            Action::Exit => {
                let code = fields.first().and_then(|field| integer_at(bytes, &field.place));
                Err(Stop::Ended(code.unwrap_or(0) as i32))
            }
            Action::Clear(map) => Ok(self.clear(*map)?),
            Action::Zero(map) => Ok(self.zero(*map)?),
            Action::PrintElement(map) => Ok(self.print_element(*map, fields, bytes)?),
            Action::PrintMap(map) => Ok(self.print(*map, fields, bytes)?),
            Action::Retire(map) => Ok(self.sink.retired(*map, layout, bytes)?),
            Action::Summary(map) => match self.loader.map(*map) {
                Some(data) => Ok(self.sink.summary(*map, data, layout, bytes)?),
                None => Ok(()),
            },
        }
    }

    /// Hands an event to the sink; the last one that was asked for ends the session.
    fn report(&mut self, layout: usize, bytes: &[u8]) -> Result<(), Stop> {
        self.sink.record(layout, bytes)?;
        match self.events_left {
            Some(left) => {
                *left = left.saturating_sub(1);
                if *left == 0 { Err(Stop::Ended(0)) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    fn raw(&self, map: MapRef) -> io::Result<Option<RawMap<'a>>> {
        self.loader.map(map).map(RawMap::of).transpose().map_err(io::Error::other)
    }

    /// An array's elements cannot be deleted: they are zero when nothing was put there.
    fn clear(&self, map: MapRef) -> io::Result<()> {
        let (Some(raw), Some(info)) = (self.raw(map)?, self.manifest.maps.get(map.0 as usize)) else { return Ok(()) };
        match info.kind {
            MapKind::Array | MapKind::PercpuArray => raw.zero_all()?,
            MapKind::Hash | MapKind::LruHash | MapKind::PercpuHash => raw.delete_all()?,
        }
        Ok(())
    }

    fn zero(&self, map: MapRef) -> io::Result<()> {
        match self.raw(map)? {
            Some(raw) => Ok(raw.zero_all()?),
            None => Ok(()),
        }
    }

    fn print(&mut self, map: MapRef, fields: &[RecordField], bytes: &[u8]) -> io::Result<()> {
        let Some(data) = self.loader.map(map) else { return Ok(()) };
        let named = |name: &str| {
            let field = fields.iter().find(|field| field.name == name)?;
            integer_at(bytes, &field.place)?.try_into().ok()
        };
        self.sink.map(map, data, named("top"), named("div"))
    }

    fn print_element(&mut self, map: MapRef, fields: &[RecordField], bytes: &[u8]) -> io::Result<()> {
        let Some(info) = self.manifest.maps.get(map.0 as usize) else { return Ok(()) };
        let mut parts = fields.iter().filter_map(|field| bytes_at(bytes, &field.place));
        let Some(key) = parts.next() else { return Ok(()) };
        let row = match (parts.next(), self.raw(map)?) {
            (Some(value), _) => Row { key: key.to_vec(), value: maps::Value::Data(value.to_vec()) },
            (None, Some(raw)) => maps::entry(&raw, info, key)?,
            (None, None) => return Ok(()),
        };
        self.sink.element(map, &row)
    }

    /// Prints the maps that have entries, in the order of their names.
    ///
    /// # Errors
    /// A map cannot be read, or writing failed.
    pub fn print_remaining_maps(&mut self) -> io::Result<()> {
        let mut maps: Vec<_> = self.manifest.maps.iter().zip(0..).map(|(info, index)| (info, MapRef(index))).collect();
        maps.retain(|(info, _)| !info.is_internal());
        maps.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let mut first = true;
        for (info, map) in maps {
            let (Some(raw), Some(data)) = (self.raw(map)?, self.loader.map(map)) else { continue };
            if has_entries(&raw, info.kind)? {
                if std::mem::take(&mut first) {
                    self.sink.remaining_maps();
                }
                self.sink.map(map, data, None, None)?;
            }
        }
        Ok(())
    }
}

/// Whether anything was put into a map: an array's elements always exist, and are zero at first.
fn has_entries(raw: &RawMap<'_>, kind: MapKind) -> io::Result<bool> {
    let mut key = vec![0; raw.key_size()];
    let any = raw.next_key(None, &mut key)?;
    if !any || !matches!(kind, MapKind::Array | MapKind::PercpuArray) {
        return Ok(any);
    }
    let mut value = vec![0; raw.value_size()];
    raw.lookup(&key, &mut value)?;
    Ok(value.iter().any(|&byte| byte != 0))
}
