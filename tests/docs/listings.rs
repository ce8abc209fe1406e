//! Listings of bytecode in documents: pieces of what `--dump-bytecode` prints, each with the numbers
//! of its first and last instruction. `PFSCRIPT_BLESS=1` puts in the instructions of now, as long
//! as there are as many; then read whether what is said of them is still true.

use std::env;
use std::fs;
use std::path::Path;

use crate::fences::Fence;
use crate::pfscript;

/// Checks that a piece is as the compiler has it now.
///
/// # Errors
/// The first line that is not.
pub fn check(fence: &Fence, document: &Path) -> Result<(), String> {
    let now = piece(fence)?;
    if now == fence.text {
        return Ok(());
    }
    if env::var_os("PFSCRIPT_BLESS").is_some_and(|value| value == "1") {
        let text = fs::read_to_string(document).map_err(|error| error.to_string())?;
        return fs::write(document, text.replace(&fence.text, &now)).map_err(|error| error.to_string());
    }
    let changed = fence.text.lines().zip(now.lines()).find(|(shown, now)| shown != now);
    let (shown, now) = changed.unwrap_or(("its end", "another end"));
    Err(format!("the listing has changed (PFSCRIPT_BLESS=1 rewrites it)\n  shown: {shown}\n  now:   {now}"))
}

/// The same instructions of the same program, as the compiler makes them now.
fn piece(fence: &Fence) -> Result<String, String> {
    let [_, script, program, count] = fence.words.as_slice() else {
        return Err("`bytecode SCRIPT PROGRAM COUNT` says of what it is a piece".to_owned());
    };
    let listing = pfscript(&["--dump-bytecode", script])?;
    let head = format!("; program {program} in section ");
    let section = listing.split("\n\n").find(|section| section.lines().any(|line| line.starts_with(&head)));
    let lines: Vec<_> = section.ok_or_else(|| format!("{script} has no program {program}"))?.lines().collect();
    let numbers = || fence.text.lines().filter_map(number);
    let (first, last) = numbers().next().zip(numbers().next_back()).ok_or("no instruction is in it")?;
    let at = |wanted| lines.iter().position(|line| number(line) == Some(wanted));
    let (Some(first), Some(last)) = (at(first), at(last)) else { return Err(anew(program)) };
    if lines.iter().filter(|line| number(line).is_some()).count().to_string() != *count {
        return Err(anew(program));
    }
    let remarks = lines[..first].iter().rev().take_while(|line| line.starts_with(';')).count();
    Ok(lines[first - remarks..=last].iter().map(|line| format!("{line}\n")).collect())
}

fn anew(program: &str) -> String {
    format!("{program} has not so many instructions any more: what is said of them has to be written anew")
}

/// The number of the instruction in a line.
fn number(line: &str) -> Option<u32> {
    line.trim_start().split_once(": ")?.0.parse().ok()
}
