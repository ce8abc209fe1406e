//! Where a session's findings go: what the session asks of the output.

use std::io;

use aya::maps::MapData;
use pfscript_compiler::manifest::MapRef;

use crate::maps::Row;

/// Where a session's findings go.
pub trait Sink {
    /// A record of a layout whose action is to report something, `bytes` being exactly its size.
    ///
    /// # Errors
    /// Writing failed; a broken pipe ends the session quietly.
    fn record(&mut self, layout: usize, bytes: &[u8]) -> io::Result<()>;

    /// Prints a map: by `print()`, or at the end. `top` and `div` are those of `print()`.
    ///
    /// # Errors
    /// As [`Sink::record`].
    fn map(&mut self, map: MapRef, data: &MapData, top: Option<u64>, div: Option<u64>) -> io::Result<()>;

    /// Prints an element of a map.
    ///
    /// # Errors
    /// As [`Sink::record`].
    fn element(&mut self, map: MapRef, row: &Row) -> io::Result<()>;

    /// A record that tells of an element that was taken out of a map for good.
    ///
    /// # Errors
    /// As [`Sink::record`].
    fn retired(&mut self, map: MapRef, layout: usize, bytes: &[u8]) -> io::Result<()>;

    /// Sums up what a map has held; the record tells what was retired from it.
    ///
    /// # Errors
    /// The map cannot be read.
    fn summary(&mut self, map: MapRef, data: &MapData, layout: usize, bytes: &[u8]) -> io::Result<()>;

    /// The script's maps, in the manifest's order; called once before all else.
    ///
    /// # Errors
    /// They cannot be kept.
    fn maps(&mut self, _maps: &[Option<&MapData>]) -> io::Result<()> {
        Ok(())
    }

    /// The maps that stacks in records and maps refer to, by how deep those are; called once before all else.
    ///
    /// # Errors
    /// It cannot be kept.
    fn stacks(&mut self, _maps: &[(u32, &MapData)]) -> io::Result<()> {
        Ok(())
    }

    /// The maps that are printed at the end follow; called before the first of them, if there is one.
    fn remaining_maps(&mut self) {}

    /// Everything that has happened up to now was handed over: show it.
    ///
    /// # Errors
    /// As [`Sink::record`].
    fn flush(&mut self) -> io::Result<()>;

    /// Events that were handed over, but for a failure not shown, or not as a whole.
    fn unwritten(&self) -> u64;

    /// From now on events are seen.
    ///
    /// # Errors
    /// They cannot be shown.
    fn tracing_began(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// No more events are seen.
    fn tracing_ended(&mut self) {}

    /// All has been handed over; `losses` says what was lost in all.
    fn ended(&mut self, losses: &[String]) {
        losses.iter().for_each(|loss| self.warn(loss));
    }

    /// Something that the user must know.
    fn warn(&mut self, text: &str);

    /// Something that is shown with `-v`.
    fn note(&mut self, text: &str);
}
