//! The elements of a map side by side, as the summary and the live view show them: a column for
//! each part of the key, one for the name of a process that a key is the number of, and a number.

use pfscript_compiler::manifest::{DataType, MapInfo, MapValue, Member};

use crate::datum::{Datum, decode};
use crate::maps::Value;
use crate::output::context::Context;
use crate::output::text::push_escaped;
use crate::sys::comm::Comms;

/// What the elements of one map look like.
#[derive(Clone, Debug)]
pub struct Elements {
    key: Vec<Member>,
    names: Vec<String>,
    /// The part of the key that is the number of a process (or thread).
    process: Option<usize>,
    comms: Comms,
}

impl Elements {
    /// The elements of the map that `info` tells of.
    pub fn of(info: &MapInfo) -> Self {
        let is_process = |(name, member): (&String, &Member)| {
            matches!(name.as_str(), "pid" | "tid") && matches!(member.ty, DataType::Int { .. })
        };
        let has_comm = info.key_names.iter().any(|name| name == "comm");
        let process = info.key_names.iter().zip(&info.key).position(is_process).filter(|_| !has_comm);
        Self { key: info.key.clone(), names: info.key_names.clone(), process, comms: Comms::new() }
    }

    /// The columns' headings.
    pub fn headings(&self) -> Vec<String> {
        let key = self.names.iter().map(|name| if name.is_empty() { "KEY".to_owned() } else { name.to_uppercase() });
        key.chain(self.process.map(|_| "COMM".to_owned())).collect()
    }

    /// How wide the columns are at least: as wide as in a table of events.
    pub fn widths(&self) -> Vec<usize> {
        let key = self.key.iter().map(|member| if let DataType::Int { .. } = member.ty { 7 } else { 16 });
        key.chain(self.process.map(|_| 16)).collect()
    }

    /// The element at `key` in these columns, all that is not plain text escaped.
    pub fn cells(&self, key: &[u8], context: &mut Context) -> Vec<String> {
        let parts: Vec<_> = self.key.iter().map(|member| decode::member(member, key)).collect();
        self.cells_of(&parts, None, context)
    }

    /// The element whose key's parts are `key`; `name` is that of the process, if it is known.
    pub fn cells_of(&self, key: &[Datum<'_>], name: Option<Datum<'_>>, context: &mut Context) -> Vec<String> {
        let mut cells: Vec<_> = key.iter().map(|part| in_line(part, context)).collect();
        if let Some(process) = self.process {
            cells.push(match (name, key.get(process)) {
                (Some(name), _) => in_line(&name, context),
                (None, Some(Datum::Int(pid))) => self.comm(pid.unsigned() as u32),
                _ => String::new(),
            });
        }
        cells
    }

    fn comm(&self, pid: u32) -> String {
        let mut out = Vec::new();
        push_escaped(&mut out, &self.comms.of(pid).unwrap_or_default());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// What `count` elements are called.
    pub fn counted(&self, count: u64) -> String {
        let (one, many) = match self.names.as_slice() {
            [name] => match name.as_str() {
                "pid" => ("process", "processes"),
                "tid" => ("thread", "threads"),
                "comm" => ("name", "names"),
                "uid" => ("user", "users"),
                "cpu" => ("CPU", "CPUs"),
                _ => ("key", "keys"),
            },
            _ => ("key", "keys"),
        };
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

fn in_line(datum: &Datum<'_>, context: &mut Context) -> String {
    let mut out = Vec::new();
    datum.push_in_line(&mut out, context);
    String::from_utf8_lossy(&out).into_owned()
}

/// The number that an element is shown by: its value; of an average, statistics and histograms how
/// many values went into it.
pub fn number(kind: &MapValue, value: &Value) -> i128 {
    match (value, kind) {
        (Value::Data(bytes), MapValue::Data(DataType::Int { bytes: width, signed })) => {
            decode::integer(bytes, *width, *signed).value()
        }
        (Value::Data(_), _) => 0,
        (Value::Number(number), _) => number.value(),
        (Value::Average { count, .. }, _) => i128::from(*count),
        (Value::Histogram(counts), _) => counts.iter().map(|&count| i128::from(count)).sum(),
    }
}

/// Whether elements of such a value have a number.
pub fn has_number(kind: &MapValue) -> bool {
    !matches!(kind, MapValue::Data(ty) if !matches!(ty, DataType::Int { .. }))
}
