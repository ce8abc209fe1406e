//! What the script reports, on its way to the user.
//!
//! [`Output`] is the session's sink: it decodes each record by the manifest and lets the chosen
//! [`Form`] append it to one buffer, which is written out line by line on a terminal and once per
//! drain on a pipe or file. Data goes to the destination only, remarks to stderr only.

pub mod context;
pub mod csv;
pub mod destination;
pub mod elements;
pub mod flame_graph;
pub mod folded;
pub mod histogram;
pub mod json;
pub mod printf;
pub mod summary;
pub mod table;
pub mod text;
pub mod time;
pub mod value;

#[cfg(test)]
pub(crate) mod sample;

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use aya::maps::MapData;
use pfscript_compiler::manifest::{Action, Format, Manifest, MapInfo, MapRef, RecordLayout};
use pfscript_grammar::Span;

use crate::datum::{Datum, decode};
use crate::maps::{self, Row};
use crate::output::context::Context;
pub use crate::output::destination::Destination;
use crate::output::flame_graph::FlameGraph;
use crate::output::folded::{Folded, has_stacks};
use crate::output::summary::{Retired, Summary};
use crate::sink::Sink;
use crate::symbols::stacks::Stacks;
use crate::sys::map::RawMap;

/// A full buffer is written out even in the middle of a drain, at this many bytes.
const BUFFER: usize = 256 * 1024;

/// How data is laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormName {
    /// Aligned columns.
    #[default]
    Table,
    /// One object a line.
    Json,
    /// Records with a header.
    Csv,
    /// Maps keyed by stacks, a line for each stack.
    Folded,
}

/// One way of laying out data. Everything is appended to `out`; nothing here can fail.
pub trait Form {
    /// An event reported by `emit`.
    fn event(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context);
    /// Text printed by `printf`.
    fn printf(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context);
    /// A value printed by `print`; as text if nothing else is said here.
    fn value(&mut self, out: &mut Vec<u8>, report: &Report<'_>, context: &mut Context) {
        self.printf(out, report, context);
    }
    /// The moment of a record, printed by `time`.
    fn time(&mut self, out: &mut Vec<u8>, text: &[u8]);
    /// A map's entries in order, numbers divided by `div`.
    fn map(&mut self, out: &mut Vec<u8>, info: &MapInfo, rows: &[Row], div: u64, context: &mut Context);
    /// Whether it has a place for events and text.
    fn takes_events(&self) -> bool {
        true
    }
    /// Whether it has a place for this map.
    fn takes_map(&self, _info: &MapInfo) -> bool {
        true
    }
    /// What sets the maps that are printed at exit off from the data before.
    fn before_exit_maps(&mut self, _out: &mut Vec<u8>) {}
}

/// A record with what the manifest says about it.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Its index in the manifest.
    pub index: usize,
    /// What it holds.
    pub layout: &'a RecordLayout,
    /// The format of a `printf` and its kind; empty for other records.
    pub format: &'a Format,
    /// Its bytes, header included.
    pub record: &'a [u8],
}

/// The format of what is no `printf`.
static NO_FORMAT: Format = Format { pieces: Vec::new() };

impl<'a> Report<'a> {
    /// The record `record` of layout `index`.
    pub fn new(layouts: &'a [RecordLayout], index: usize, record: &'a [u8]) -> Self {
        let layout = &layouts[index];
        let format = match &layout.action {
            Action::Printf(format) | Action::PrintValue(format) | Action::Complain { format, .. } => format,
            _ => &NO_FORMAT,
        };
        Self { index, layout, format, record }
    }

    /// The values of its fields in order.
    pub fn values(&self) -> impl Iterator<Item = Datum<'a>> + use<'a> {
        let record = self.record;
        self.layout.fields.iter().map(move |field| decode::field(&field.place, record))
    }
}

/// What is said on stderr beside the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: only what was lost or went wrong.
    Quiet,
    /// Nothing more than needed.
    #[default]
    Normal,
    /// `-v`: what is compiled, loaded and attached.
    Verbose,
}

/// Something to be said beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// What the user must know.
    Warning,
    /// What is shown with `-v`.
    Note,
    /// What a map has held, in lines.
    Summary,
    /// What is under way while there is nothing else to see, in place of what was said of it before.
    Waiting,
    /// That there is something else to see now.
    Data,
    /// What the script has to say about itself.
    Script {
        /// An error, else a warning.
        is_error: bool,
        /// The call in the script.
        span: Span,
    },
}

/// Says remarks, or leaves them unsaid.
pub type Remarks = Box<dyn FnMut(Remark, &str)>;

/// The session's sink.
pub struct Output<'a> {
    manifest: &'a Manifest,
    form: Box<dyn Form>,
    context: Context,
    buffer: Vec<u8>,
    /// Where each event in the buffer ends.
    ends: Vec<usize>,
    unwritten: u64,
    to: Destination,
    remarks: Remarks,
    picture: Option<FlameGraph>,
    /// What is printed next is the first of the maps at exit.
    at_exit_maps: bool,
    /// What the form has no place for, so far.
    left_out: BTreeSet<String>,
    tracing: Tracing,
    retired: Retired,
    summaries: Vec<Summary>,
}

/// How long tracing has been under way.
#[derive(Debug, Default)]
struct Tracing {
    began: Option<Instant>,
    took: Duration,
    /// While nobody has seen anything of it yet: after how many seconds to say so again.
    next_told: Option<u64>,
}

impl<'a> Output<'a> {
    /// An output of the records and maps of `manifest`.
    pub fn new(manifest: &'a Manifest, form: FormName, to: Destination, remarks: Remarks) -> Self {
        let form: Box<dyn Form> = match form {
            FormName::Table => Box::new(table::Table::new(&manifest.records)),
            FormName::Json => Box::new(json::Json::default()),
            FormName::Csv => Box::new(csv::Csv::new(&manifest.records)),
            FormName::Folded => Box::new(Folded::new(manifest)),
        };
        Self {
            manifest,
            form,
            context: Context::default(),
            buffer: Vec::new(),
            ends: Vec::new(),
            unwritten: 0,
            to,
            remarks,
            tracing: Tracing::default(),
            retired: Retired::default(),
            summaries: Vec::new(),
            picture: None,
            at_exit_maps: false,
            left_out: BTreeSet::new(),
        }
    }

    /// Draws the maps that have stacks into `picture` instead of printing them.
    #[must_use]
    pub fn with_picture(self, picture: Option<FlameGraph>) -> Self {
        Self { picture, ..self }
    }

    /// Finishes what is not written before everything is known: the picture.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        let Some(picture) = self.picture.take() else { return Ok(()) };
        if picture.is_empty() {
            self.warn("nothing was counted by stack: the flame graph is empty");
        }
        picture.draw()
    }

    /// Writes out what may not wait: each line on a terminal, a full buffer elsewhere.
    fn pass_on(&mut self) -> io::Result<()> {
        if self.to.is_terminal() || self.buffer.len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    /// Says once of each thing that the form has no place for it.
    fn leave_out(&mut self, what: String) {
        if self.left_out.insert(what.clone()) {
            self.warn(&format!("{what} is left out: this format is for maps keyed by stacks"));
        }
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.stop_waiting();
        let mut rest = &self.buffer[..];
        let result = self.to.write(&mut rest);
        let written = self.buffer.len() - rest.len();
        self.unwritten += self.ends.iter().filter(|&&end| end > written).count() as u64;
        self.ends.clear();
        self.buffer.clear();
        result
    }

    /// Tells each second that nothing has come yet, where the data would be seen.
    fn wait(&mut self) {
        let Tracing { began: Some(began), next_told: Some(next), .. } = &mut self.tracing else { return };
        let seconds = began.elapsed().as_secs();
        if seconds >= *next {
            *next = seconds + 1;
            let text = format!("tracing for {seconds} s, nothing to report yet; Ctrl-C ends");
            (self.remarks)(Remark::Waiting, &text);
        }
    }

    fn stop_waiting(&mut self) {
        if self.tracing.next_told.take().is_some() {
            (self.remarks)(Remark::Data, "");
        }
    }
}

impl Sink for Output<'_> {
    fn record(&mut self, layout: usize, bytes: &[u8]) -> io::Result<()> {
        let report = Report::new(&self.manifest.records, layout, bytes);
        if !self.form.takes_events() {
            self.leave_out("what emit, printf and time report".to_owned());
            return Ok(());
        }
        let before = self.buffer.len();
        match &report.layout.action {
            Action::Emit { .. } => self.form.event(&mut self.buffer, &report, &mut self.context),
            Action::Printf(_) => self.form.printf(&mut self.buffer, &report, &mut self.context),
            Action::PrintValue(_) => self.form.value(&mut self.buffer, &report, &mut self.context),
            Action::Time(format) => {
                let mut text = Vec::new();
                self.context.clock.push_monotonic(&mut text, decode::timestamp(bytes), format);
                self.form.time(&mut self.buffer, &text);
            }
            Action::Complain { is_error, .. } => {
                let mut text = Vec::new();
                let form = printf::TextForm::Escaped;
                printf::push_printf(&mut text, report.format, report.values(), &mut self.context, form);
                let remark = Remark::Script { is_error: *is_error, span: report.layout.span };
                (self.remarks)(remark, String::from_utf8_lossy(&text).trim_end_matches('\n'));
            }
            // The session itself sees to these.
            Action::Exit
            | Action::Clear(_)
            | Action::Zero(_)
            | Action::PrintElement(_)
            | Action::PrintMap(_)
            | Action::Retire(_)
            | Action::Summary(_) => {}
        }
        if self.buffer.len() > before {
            self.ends.push(self.buffer.len());
        }
        self.pass_on()
    }

    fn map(&mut self, map: MapRef, data: &MapData, top: Option<u64>, div: Option<u64>) -> io::Result<()> {
        let info = &self.manifest.maps[map.0 as usize];
        let rows = maps::entries(data, info)?;
        let (rows, div) = (top_rows(&rows, top), div.unwrap_or(1).max(1));
        match &mut self.picture {
            Some(picture) if has_stacks(info) => picture.add(info, rows, div, &mut self.context),
            _ if !self.form.takes_map(info) => self.leave_out(format!("@{}", info.name)),
            _ => {
                if std::mem::take(&mut self.at_exit_maps) {
                    self.form.before_exit_maps(&mut self.buffer);
                }
                self.form.map(&mut self.buffer, info, rows, div, &mut self.context);
            }
        }
        self.pass_on()
    }

    fn element(&mut self, map: MapRef, row: &Row) -> io::Result<()> {
        let info = &self.manifest.maps[map.0 as usize];
        self.form.map(&mut self.buffer, info, std::slice::from_ref(row), 1, &mut self.context);
        self.pass_on()
    }

    fn retired(&mut self, map: MapRef, layout: usize, bytes: &[u8]) -> io::Result<()> {
        let (info, report) = (&self.manifest.maps[map.0 as usize], Report::new(&self.manifest.records, layout, bytes));
        self.retired.add(map, info, &report, &mut self.context);
        Ok(())
    }

    fn summary(&mut self, map: MapRef, data: &MapData, layout: usize, bytes: &[u8]) -> io::Result<()> {
        let (info, report) = (&self.manifest.maps[map.0 as usize], Report::new(&self.manifest.records, layout, bytes));
        let rows = maps::entries(data, info)?;
        self.summaries.push(Summary::new((map, info), &rows, &self.retired, &report, &mut self.context));
        Ok(())
    }

    fn tracing_began(&mut self) -> io::Result<()> {
        let next_told = self.to.is_terminal().then_some(0);
        self.tracing = Tracing { began: Some(Instant::now()), next_told, ..Tracing::default() };
        self.wait();
        Ok(())
    }

    fn tracing_ended(&mut self) {
        self.tracing.took = self.tracing.began.map_or(Duration::ZERO, |began| began.elapsed());
        self.stop_waiting();
    }

    fn ended(&mut self, losses: &[String]) {
        for summary in &self.summaries {
            let gap = if self.to.is_terminal() { "\n" } else { "" };
            let text = summary.text(self.tracing.took, losses.is_empty());
            (self.remarks)(Remark::Summary, &format!("{gap}{text}"));
        }
        losses.iter().for_each(|loss| self.warn(loss));
    }

    fn remaining_maps(&mut self) {
        self.at_exit_maps = true;
    }

    fn stacks(&mut self, maps: &[(u32, &MapData)]) -> io::Result<()> {
        let own =
            |&(depth, map): &(u32, &MapData)| Ok((depth, RawMap::of(map).map_err(io::Error::other)?.duplicate()?));
        let maps = maps.iter().map(own).collect::<io::Result<_>>()?;
        self.context.stacks = Stacks::new(maps, self.manifest)?;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.context.clock.refresh();
        self.context.stacks.look_again();
        self.wait();
        if self.buffer.is_empty() { Ok(()) } else { self.write_out() }
    }

    fn unwritten(&self) -> u64 {
        self.unwritten + self.ends.len() as u64
    }

    fn warn(&mut self, text: &str) {
        (self.remarks)(Remark::Warning, text);
    }

    fn note(&mut self, text: &str) {
        (self.remarks)(Remark::Note, text);
    }
}

/// The last `top` rows, which are the largest; all for none or 0.
fn top_rows(rows: &[Row], top: Option<u64>) -> &[Row] {
    let top = top.filter(|&top| top != 0).map_or(rows.len(), |top| usize::try_from(top).unwrap_or(usize::MAX));
    &rows[rows.len().saturating_sub(top)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("pfscript-output-{}-{name}", std::process::id()))
    }

    fn manifest() -> Manifest {
        Manifest { records: vec![sample::total(), sample::greeting()], ..Manifest::default() }
    }

    #[test]
    fn a_drain_is_written_once_it_is_flushed() {
        let (path, manifest) = (scratch("drain"), manifest());
        let to = Destination::file(&path).expect("a new file");
        let mut output = Output::new(&manifest, FormName::Table, to, Box::new(|_, _| {}));
        let record = sample::fault_record(3, "x", 9);
        output.record(0, &record).expect("buffered");
        output.record(1, &record).expect("buffered");
        assert_eq!(std::fs::read(&path).expect("it exists"), b"");
        output.flush().expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "PID     TOTAL\n3       9\nhello 9\n");
        std::fs::remove_file(&path).expect("it exists");
    }

    /// What a form makes of one record of `time("at %%s\n")`.
    fn printed_time(form: FormName, name: &str) -> String {
        let action = Action::Time("at 1 %%s\n".into());
        let layout = RecordLayout { action, fields: Vec::new(), ..sample::total() };
        let (path, manifest) = (scratch(name), Manifest { records: vec![layout], ..Manifest::default() });
        let to = Destination::file(&path).expect("a new file");
        let mut output = Output::new(&manifest, form, to, Box::new(|_, _| {}));
        output.record(0, &sample::fault_record(3, "x", 9)).and_then(|()| output.flush()).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::remove_file(&path).expect("it exists");
        text
    }

    #[test]
    fn time_is_printed_in_each_form() {
        assert_eq!(printed_time(FormName::Table, "time-table"), "at 1 %s\n");
        let json = "{\"type\": \"time\", \"data\": \"at 1 %s\\n\"}\n";
        assert_eq!(printed_time(FormName::Json, "time-json"), json);
        assert_eq!(printed_time(FormName::Csv, "time-csv"), "printf\nat 1 %s\n");
    }

    #[test]
    fn a_full_disk_is_reported_with_the_files_name() {
        let (manifest, full) = (manifest(), Destination::file("/dev/full".as_ref()).expect("it opens"));
        let mut output = Output::new(&manifest, FormName::Table, full, Box::new(|_, _| {}));
        output.record(1, &sample::fault_record(3, "x", 9)).expect("buffered");
        let error = output.flush().expect_err("full");
        assert!(error.to_string().starts_with("cannot write to /dev/full: No space left"), "{error}");
        assert_eq!(output.unwritten(), 1);
    }

    #[test]
    fn top_keeps_the_largest() {
        let row = |n: u8| Row { key: vec![n], value: maps::Value::Data(vec![]) };
        let rows = [row(1), row(2), row(3)];
        assert_eq!(top_rows(&rows, Some(2)), &rows[1..]);
        assert_eq!(top_rows(&rows, Some(9)), &rows);
        assert_eq!(top_rows(&rows, Some(0)), &rows);
        assert_eq!(top_rows(&rows, None), &rows);
    }
}
