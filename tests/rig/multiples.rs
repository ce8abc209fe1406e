//! The truth about a counted process: which counts must have been reported of it.

/// Checks that `reported` is exactly the multiples of `step` up to the process's total: each once,
/// ascending, none missing.
///
/// The total is `own`, the process's own word (getrusage), plus at most `slack` events which the
/// source counts beyond it; 0 where the source counts exactly what getrusage does.
///
/// # Errors
/// The first place where they differ.
pub fn check_multiples(reported: &[u64], step: u64, own: u64, slack: u64) -> Result<(), String> {
    for (place, &count) in (1..).zip(reported) {
        if count != place * step {
            let which = if complete(reported, step) { "out of order" } else { "missing or twice" };
            return Err(format!("report {place} says {count} where {} is due (step {step}): {which}", place * step));
        }
    }
    let (least, most) = (own / step, (own + slack) / step);
    let number = reported.len() as u64;
    if (least..=most).contains(&number) {
        return Ok(());
    }
    Err(format!("{number} reports at step {step}, {least} to {most} are due for {own} faults (slack {slack})"))
}

/// Whether all multiples are there, in whatever order.
fn complete(reported: &[u64], step: u64) -> bool {
    let mut sorted = reported.to_vec();
    sorted.sort_unstable();
    (1..).zip(sorted).all(|(place, count)| count == place * step)
}
