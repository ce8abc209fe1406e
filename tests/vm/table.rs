//! The results as a table: a row for each case, a column for each kernel.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

/// What the rows and columns hold, filled as the trials go.
#[derive(Default)]
pub struct Table {
    cells: Mutex<BTreeMap<String, BTreeMap<usize, bool>>>,
}

impl Table {
    /// Enters the result of a case, or of a part of one, in the column of that number.
    pub fn enter(&self, case: &str, column: usize, passed: bool) {
        let mut cells = self.cells.lock().expect("nothing panics while holding it");
        cells.entry(case.to_owned()).or_default().insert(column, passed);
    }

    /// The table, `columns` at its head; a case that has no result in a column was not for that kernel.
    pub fn text(&self, columns: &[String], took: Duration) -> String {
        let cells = self.cells.lock().expect("nothing panics while holding it");
        let width = cells.keys().map(String::len).max().unwrap_or(0).max("case".len());
        let mut text = String::new();
        let heads = columns.iter().map(|column| format!("  {column:<6}")).collect::<String>();
        let _ = writeln!(text, "{:<width$}{heads}", "case");
        for (case, row) in cells.iter() {
            let cell = |column| match row.get(&column) {
                Some(true) => "ok",
                Some(false) => "FAILED",
                None => "-",
            };
            let row = (0..columns.len()).map(|column| format!("  {:<6}", cell(column))).collect::<String>();
            let _ = writeln!(text, "{case:<width$}{}", row.trim_end());
        }
        let _ = writeln!(text, "{} cases; -: not for this kernel; {} s", cells.len(), took.as_secs());
        text
    }
}
