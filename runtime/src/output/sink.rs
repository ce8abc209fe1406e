//! A stand-in for the session's own `Sink`, until both are in one tree.

use std::io;

use aya::maps::MapData;
use pfscript_compiler::manifest::MapRef;

/// Where a session sends what the script reports.
pub trait Sink {
    /// An event or a `printf` of the layout with this index; records come in order.
    ///
    /// # Errors
    /// What the writing says; a closed pipe is [`io::ErrorKind::BrokenPipe`].
    fn record(&mut self, layout: usize, bytes: &[u8]) -> io::Result<()>;
    /// Prints a map.
    ///
    /// # Errors
    /// As [`Sink::record`], and what the kernel says to the reading.
    fn map(&mut self, map: MapRef, data: &MapData, top: Option<u64>, div: Option<u64>) -> io::Result<()>;
    /// Writes out what is due: the end of one drain of the buffers.
    ///
    /// # Errors
    /// As [`Sink::record`].
    fn flush(&mut self) -> io::Result<()>;
    /// Tells the user something that must not be overlooked.
    fn warn(&mut self, text: &str);
    /// Tells the user something asked for by `-v`.
    fn note(&mut self, text: &str);
}
