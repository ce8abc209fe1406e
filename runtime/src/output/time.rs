//! The kernel's time to local wall-clock time. The only file that knows chrono.
//!
//! An event carries CLOCK_MONOTONIC; wall-clock time is that plus an offset, which changes when
//! the machine is suspended or its clock is set. The offset is measured anew at each drain of the
//! buffers, and taken over only when it differs by more than a millisecond, so that neighbouring
//! events keep their exact distance. Everything down to the second is formatted once per second.

use std::io::Write;

use chrono::format::StrftimeItems;
use chrono::{Local, TimeZone};

use crate::sys;

const SECOND: i128 = 1_000_000_000;
/// An offset that is wrong by less than this is kept, in ns.
const TOLERANCE: i128 = 1_000_000;

/// Converts and formats the time of events.
#[derive(Debug)]
pub struct Clock {
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, in ns.
    offset: i128,
    /// CLOCK_BOOTTIME minus CLOCK_MONOTONIC, in ns: how long the machine was suspended.
    suspended: i128,
    /// The second that the texts below are for, since 1970.
    second: i64,
    /// `2026-11-25T10:45:16`
    date_time: String,
    /// `+01:00`
    zone: String,
}

impl Clock {
    /// A clock with the offset of now.
    pub fn new() -> Self {
        Self::with_offset(measure_offset())
    }

    fn with_offset(offset: i128) -> Self {
        Self {
            offset,
            suspended: measure_suspension(),
            second: i64::MIN,
            date_time: String::new(),
            zone: String::new(),
        }
    }

    /// Measures the offset anew; to be called once per drain of the buffers.
    pub fn refresh(&mut self) {
        let offset = measure_offset();
        if (offset - self.offset).abs() > TOLERANCE {
            self.offset = offset;
            self.suspended = measure_suspension();
        }
    }

    /// Appends the time of day, `10:45:16`, of the moment `monotonic` (CLOCK_MONOTONIC in ns).
    pub fn push_time_of_day(&mut self, out: &mut Vec<u8>, monotonic: u64) {
        self.turn_to(monotonic);
        let time = self.date_time.split_once('T').map_or("", |(_, time)| time);
        out.extend_from_slice(time.as_bytes());
    }

    /// Appends `2026-11-25T10:45:16.123456789+01:00` for the moment `monotonic`.
    pub fn push_rfc3339(&mut self, out: &mut Vec<u8>, monotonic: u64) {
        let nanoseconds = self.turn_to(monotonic);
        write!(out, "{}.{nanoseconds:09}{}", self.date_time, self.zone).expect("a Vec takes everything");
    }

    /// Appends the moment `monotonic` (CLOCK_MONOTONIC in ns) by a `strftime` format.
    pub fn push_monotonic(&self, out: &mut Vec<u8>, monotonic: u64, format: &str) {
        push_strftime(out, self.since_epoch(monotonic), format);
    }

    /// Appends the moment `boottime` (CLOCK_BOOTTIME in ns) by a `strftime` format.
    pub fn push_boottime(&self, out: &mut Vec<u8>, boottime: u64, format: &str) {
        push_strftime(out, i128::from(boottime) - self.suspended + self.offset, format);
    }

    /// Nanoseconds since 1970 at the moment `monotonic`.
    pub fn since_epoch(&self, monotonic: u64) -> i128 {
        i128::from(monotonic) + self.offset
    }

    /// Makes the texts those of the moment's second; returns the nanoseconds within it.
    fn turn_to(&mut self, monotonic: u64) -> i128 {
        let since_epoch = self.since_epoch(monotonic);
        let second = since_epoch.div_euclid(SECOND) as i64;
        if second != self.second {
            self.second = second;
            self.format_second();
        }
        since_epoch.rem_euclid(SECOND)
    }

    fn format_second(&mut self) {
        // Only a time zone database gone mad makes a moment ambiguous here: seconds since 1970
        // have one local time. Far outside chrono's years there is none.
        let Some(local) = Local.timestamp_opt(self.second, 0).single() else { return };
        self.date_time = local.format("%Y-%m-%dT%H:%M:%S").to_string();
        self.zone = local.format("%:z").to_string();
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends a moment in local time by a format of C's `strftime`; `%f` are the microseconds, as in
/// bpftrace. What the format has beyond that stands as it is.
fn push_strftime(out: &mut Vec<u8>, since_epoch: i128, format: &str) {
    let (second, nanosecond) = (since_epoch.div_euclid(SECOND) as i64, since_epoch.rem_euclid(SECOND) as u32);
    let Some(local) = Local.timestamp_opt(second, nanosecond).single() else { return };
    let items = StrftimeItems::new_lenient(&microseconds(format)).parse_to_owned();
    // The lenient reading gives no items that cannot be shown.
    if let Ok(items) = items {
        write!(out, "{}", local.format_with_items(items.iter())).expect("a Vec takes everything");
    }
}

/// chrono's `%f` are nanoseconds, its `%6f` microseconds.
fn microseconds(format: &str) -> String {
    let mut text = String::with_capacity(format.len());
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        text.push(c);
        match if c == '%' { rest.next() } else { None } {
            Some('f') => text.push_str("6f"),
            Some(other) => text.push(other),
            None => {}
        }
    }
    text
}

/// CLOCK_BOOTTIME minus CLOCK_MONOTONIC, in ns.
fn measure_suspension() -> i128 {
    let before = now(libc::CLOCK_MONOTONIC);
    let difference = now(libc::CLOCK_BOOTTIME) - before;
    // The two differ by less than the reading takes when the machine was never suspended.
    if difference < TOLERANCE { 0 } else { difference }
}

/// CLOCK_REALTIME minus CLOCK_MONOTONIC, in ns: of three measurements the one that took least, so
/// that being preempted in the middle of one does not matter.
fn measure_offset() -> i128 {
    let measure = || {
        let before = now(libc::CLOCK_MONOTONIC);
        let real = now(libc::CLOCK_REALTIME);
        let after = now(libc::CLOCK_MONOTONIC);
        (after - before, real - (before + after) / 2)
    };
    let (_, offset) = measure().min(measure()).min(measure());
    offset
}

/// What the clock `id` shows, in ns; differences of clocks may be negative.
fn now(id: libc::clockid_t) -> i128 {
    sys::clock(id).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn rfc3339(clock: &mut Clock, monotonic: u64) -> String {
        let mut out = Vec::new();
        clock.push_rfc3339(&mut out, monotonic);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn the_text_names_the_very_nanosecond() {
        let mut clock = Clock::with_offset(1_700_000_000 * SECOND + 7);
        for monotonic in [0, 1, 999_999_992, 999_999_993, 86_400 * 1_000_000_000] {
            let text = rfc3339(&mut clock, monotonic);
            let parsed = DateTime::parse_from_rfc3339(&text).expect("RFC 3339");
            assert_eq!(i128::from(parsed.timestamp_nanos_opt().expect("in range")), clock.since_epoch(monotonic));
        }
    }

    #[test]
    fn the_time_of_day_is_part_of_the_full_time() {
        let mut clock = Clock::with_offset(1_700_000_000 * SECOND);
        let mut time = Vec::new();
        clock.push_time_of_day(&mut time, 5);
        assert_eq!(time.len(), 8);
        assert_eq!(rfc3339(&mut clock, 5).as_bytes()[11..19], time);
    }

    #[test]
    fn moments_are_shown_by_their_format() {
        let shown = |format: &str| {
            let mut out = Vec::new();
            push_strftime(&mut out, 1_700_000_000 * SECOND + 123_456_789, format);
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(shown("%s.%f %%f"), "1700000000.123456 %f");
        assert_eq!(shown("%Y-%m-%d").len(), 10);
        assert_eq!(shown("%M:%S\n"), "13:20\n");
        assert_eq!(shown("100%"), "100%");
        assert_eq!(shown("a %! b"), "a %! b");
    }

    #[test]
    fn the_clock_since_boot_gives_the_same_moment() {
        let clock = Clock::new();
        let (mut one, mut other) = (Vec::new(), Vec::new());
        // Far from the turn of a second, whatever the time is now.
        let half = now(libc::CLOCK_REALTIME).div_euclid(SECOND) * SECOND + SECOND / 2;
        let monotonic = (half - clock.offset) as u64;
        clock.push_monotonic(&mut one, monotonic, "%F %T");
        let boottime = i128::from(monotonic) + now(libc::CLOCK_BOOTTIME) - now(libc::CLOCK_MONOTONIC);
        clock.push_boottime(&mut other, boottime as u64, "%F %T");
        assert_eq!(one, other);
    }

    #[test]
    fn now_is_now() {
        let clock = Clock::new();
        let monotonic = now(libc::CLOCK_MONOTONIC) as u64;
        let difference = clock.since_epoch(monotonic) - now(libc::CLOCK_REALTIME);
        assert!(difference.abs() < SECOND, "{difference} ns apart");
    }

    #[test]
    fn small_errors_of_the_offset_are_kept_and_large_ones_corrected() {
        let mut clock = Clock::new();
        clock.offset -= 3600 * SECOND;
        clock.refresh();
        assert!((clock.offset - measure_offset()).abs() < SECOND);
        let kept = clock.offset - TOLERANCE / 4;
        clock.offset = kept;
        clock.refresh();
        assert_eq!(clock.offset, kept);
    }
}
