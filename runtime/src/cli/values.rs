//! How times and sizes are written on the command line.

use std::time::Duration;

use pfscript_grammar::TIME_UNITS;

/// `10s`, `500ms`, `1.5m`, `2h`, `1d`
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| "not a time, write for example 10s, 500ms or 2m".to_owned())?;
    let Some(&(_, nanoseconds)) = TIME_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit.is_empty() {
            format!("without a unit, write for example {text}s")
        } else {
            format!("unknown unit, the units are {}", TIME_UNITS.map(|(name, _)| name).join(", "))
        });
    };
    match Duration::try_from_secs_f64(number * nanoseconds as f64 / 1e9) {
        Ok(duration) if duration.is_zero() => Err("no time at all".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("too long".to_owned()),
    }
}

/// `1M`, `256K`, `65536`: bytes, of 4 KiB at least and 1 GiB at most.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let suffixes = [("K", 10), ("M", 20), ("G", 30)];
    let suffix = suffixes.iter().find_map(|&(suffix, shift)| Some((text.strip_suffix(suffix)?, shift)));
    let (number, shift) = suffix.unwrap_or((text, 0));
    let number: usize = number.parse().map_err(|_| "not a size, write for example 256K or 1M".to_owned())?;
    match number.checked_mul(1 << shift) {
        Some(size) if (4 << 10..=1 << 30).contains(&size) => Ok(size),
        _ => Err("out of range, it must be from 4K to 1G".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse_duration("1x"), Err("unknown unit, the units are ns, us, ms, s, m, h, d".into()));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("10"), Err("without a unit, write for example 10s".into()));
        for bad in ["", "s", "1x", "0s", "-1s", "1e3s", "99999999999999999999999h", "1.2.3s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_size("1M"), Ok(1 << 20));
        assert_eq!(parse_size("8192"), Ok(8192));
        for bad in ["", "K", "1", "2G", "99999999999999999999G", "-4K", "1T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
