//! The kinds of probes: how each is written, and what it is attached to.

use crate::manifest::AttachSpec;

/// A kind of probe.
#[derive(Debug)]
pub struct ProbeKind {
    /// As the script names it.
    pub name: &'static str,
    /// Other names for it, bpftrace's short forms among them.
    pub aliases: &'static [&'static str],
    /// How it is written in full.
    pub syntax: &'static str,
    /// When it fires, one line.
    pub doc: &'static str,
    /// What stands in a program's symbol for it.
    pub tag: &'static str,
    /// Understands what follows the name.
    pub parse: fn(&[&str]) -> Result<AttachSpec, ParseFailure>,
}

/// Why an attach point's parts were not understood.
#[derive(Debug, PartialEq, Eq)]
pub enum ParseFailure {
    /// Too few or too many parts: the syntax is to be shown.
    Shape,
    /// The part of that index is wrong, for this reason.
    Part(usize, String),
    /// The part of that index is none of these names.
    NoSuchName(usize, Vec<&'static str>),
}

use ParseFailure::{NoSuchName, Part, Shape};

/// Every kind of probe, in the order of the language reference.
pub static PROBE_KINDS: &[ProbeKind] = &[
    ProbeKind {
        name: "BEGIN",
        aliases: &["begin"],
        syntax: "BEGIN",
        doc: "once, before anything is attached",
        tag: "begin",
        parse: |parts| if parts.is_empty() { Ok(AttachSpec::Begin) } else { Err(Shape) },
    },
    ProbeKind {
        name: "END",
        aliases: &["end"],
        syntax: "END",
        doc: "once, after everything is detached",
        tag: "end",
        parse: |parts| if parts.is_empty() { Ok(AttachSpec::End) } else { Err(Shape) },
    },
    ProbeKind {
        name: "fentry",
        aliases: &["f", "kfunc"],
        syntax: "fentry:FUNCTION",
        doc: "at the entry of a kernel function, by BPF trampoline",
        tag: "fentry",
        parse: |parts| Ok(AttachSpec::Fentry { function: function_name(parts)?, exit: false }),
    },
    ProbeKind {
        name: "fexit",
        aliases: &["fr", "kretfunc"],
        syntax: "fexit:FUNCTION",
        doc: "at the exit of a kernel function, by BPF trampoline",
        tag: "fexit",
        parse: |parts| Ok(AttachSpec::Fentry { function: function_name(parts)?, exit: true }),
    },
    ProbeKind {
        name: "hardware",
        aliases: &["h"],
        syntax: "hardware:EVENT:PERIOD",
        doc: "every PERIOD hardware events on each processor",
        tag: "hardware",
        parse: |parts| {
            let (config, period) = perf_event(parts, HARDWARE_EVENTS)?;
            Ok(AttachSpec::Hardware { config, period })
        },
    },
    ProbeKind {
        name: "interval",
        aliases: &["i"],
        syntax: "interval:UNIT:COUNT (UNIT is s, ms, us, ns or hz)",
        doc: "every so often, on one processor",
        tag: "interval",
        parse: |parts| Ok(AttachSpec::Interval { period: timer_period(parts)? }),
    },
    ProbeKind {
        name: "kprobe",
        aliases: &["k"],
        syntax: "kprobe:FUNCTION or kprobe:FUNCTION+OFFSET",
        doc: "at the entry of a kernel function",
        tag: "kprobe",
        parse: |parts| {
            let (function, offset) = function_and_offset(parts)?;
            Ok(AttachSpec::Kprobe { function, offset, ret: false })
        },
    },
    ProbeKind {
        name: "kretprobe",
        aliases: &["kr"],
        syntax: "kretprobe:FUNCTION",
        doc: "at the return of a kernel function",
        tag: "kretprobe",
        parse: |parts| Ok(AttachSpec::Kprobe { function: function_name(parts)?, offset: 0, ret: true }),
    },
    ProbeKind {
        name: "profile",
        aliases: &["p"],
        syntax: "profile:UNIT:COUNT (UNIT is hz, s, ms, us or ns)",
        doc: "every so often, on each processor",
        tag: "profile",
        parse: |parts| Ok(AttachSpec::Profile { period: timer_period(parts)? }),
    },
    ProbeKind {
        name: "rawtracepoint",
        aliases: &["rt"],
        syntax: "rawtracepoint:NAME",
        doc: "at a tracepoint, with its raw arguments",
        tag: "rawtp",
        parse: |parts| match parts {
            [name] | [_, name] => Ok(AttachSpec::RawTracepoint { name: (*name).to_owned() }),
            _ => Err(Shape),
        },
    },
    ProbeKind {
        name: "software",
        aliases: &["s"],
        syntax: "software:EVENT:PERIOD",
        doc: "every PERIOD software events on each processor",
        tag: "software",
        parse: |parts| {
            let (config, period) = perf_event(parts, SOFTWARE_EVENTS)?;
            Ok(AttachSpec::Software { config, period })
        },
    },
    ProbeKind {
        name: "tracepoint",
        aliases: &["t"],
        syntax: "tracepoint:CATEGORY:NAME",
        doc: "at a tracepoint, with the fields of its record",
        tag: "tracepoint",
        parse: |parts| match parts {
            [category, name] => {
                Ok(AttachSpec::Tracepoint { category: (*category).to_owned(), name: (*name).to_owned() })
            }
            _ => Err(Shape),
        },
    },
    ProbeKind {
        name: "uprobe",
        aliases: &["u"],
        syntax: "uprobe:FILE:FUNCTION or uprobe:FILE:FUNCTION+OFFSET",
        doc: "at the entry of a function of a program or library",
        tag: "uprobe",
        parse: |parts| user_function(parts, false),
    },
    ProbeKind {
        name: "uretprobe",
        aliases: &["ur"],
        syntax: "uretprobe:FILE:FUNCTION",
        doc: "at the return of a function of a program or library",
        tag: "uretprobe",
        parse: |parts| user_function(parts, true),
    },
];

/// The kind of that name or alias.
pub fn find(name: &str) -> Option<&'static ProbeKind> {
    PROBE_KINDS.iter().find(|kind| kind.name == name || kind.aliases.contains(&name))
}

/// The kind that `attach` is of.
pub fn of(attach: &AttachSpec) -> &'static ProbeKind {
    let name = match attach {
        AttachSpec::Begin => "BEGIN",
        AttachSpec::End => "END",
        AttachSpec::Kprobe { ret: false, .. } => "kprobe",
        AttachSpec::Kprobe { ret: true, .. } => "kretprobe",
        AttachSpec::Fentry { exit: false, .. } => "fentry",
        AttachSpec::Fentry { exit: true, .. } => "fexit",
        AttachSpec::Uprobe { ret: false, .. } => "uprobe",
        AttachSpec::Uprobe { ret: true, .. } => "uretprobe",
        AttachSpec::Software { .. } => "software",
        AttachSpec::Hardware { .. } => "hardware",
        AttachSpec::Tracepoint { .. } => "tracepoint",
        AttachSpec::RawTracepoint { .. } => "rawtracepoint",
        AttachSpec::Interval { .. } => "interval",
        AttachSpec::Profile { .. } => "profile",
    };
    find(name).expect("every kind of attach point has its row")
}

/// Whether it can happen many times in a moment.
pub fn may_burst(attach: &AttachSpec) -> bool {
    !matches!(attach, AttachSpec::Begin | AttachSpec::End | AttachSpec::Interval { .. })
}

/// Whether it tells of the process that is current when it runs. Timers of one CPU and the end of a
/// `task_struct`, which comes when nobody holds it any more, are met by whoever happens to be there.
pub fn is_of_current_process(attach: &AttachSpec) -> bool {
    match attach {
        AttachSpec::Begin | AttachSpec::End | AttachSpec::Interval { .. } => false,
        AttachSpec::Tracepoint { name, .. } | AttachSpec::RawTracepoint { name } => name != "sched_process_free",
        _ => true,
    }
}

/// The ELF section of a program, by libbpf's convention.
pub fn section(attach: &AttachSpec) -> String {
    match attach {
        AttachSpec::Begin => "raw_tp/pfscript_begin".into(),
        AttachSpec::End => "raw_tp/pfscript_end".into(),
        AttachSpec::Kprobe { function, offset, ret } => {
            let kind = if *ret { "kretprobe" } else { "kprobe" };
            if *offset == 0 { format!("{kind}/{function}") } else { format!("{kind}/{function}+{offset}") }
        }
        AttachSpec::Fentry { function, exit } => format!("{}/{function}", if *exit { "fexit" } else { "fentry" }),
        // The whole of libbpf's form would hold the user's path; the plain kind is attached by hand.
        AttachSpec::Uprobe { ret, .. } => if *ret { "uretprobe" } else { "uprobe" }.into(),
        AttachSpec::Software { .. }
        | AttachSpec::Hardware { .. }
        | AttachSpec::Interval { .. }
        | AttachSpec::Profile { .. } => "perf_event".into(),
        AttachSpec::Tracepoint { category, name } => format!("tracepoint/{category}/{name}"),
        AttachSpec::RawTracepoint { name } => format!("raw_tp/{name}"),
    }
}

/// A perf event: its name, its number, and the period that bpftrace gives it.
struct PerfEvent {
    name: &'static str,
    aliases: &'static [&'static str],
    config: u64,
    default_period: u64,
}

const fn event(name: &'static str, aliases: &'static [&'static str], config: u64, default_period: u64) -> PerfEvent {
    PerfEvent { name, aliases, config, default_period }
}

/// `PERF_COUNT_SW_*` of `include/uapi/linux/perf_event.h`.
const SOFTWARE_EVENTS: &[PerfEvent] = &[
    event("cpu-clock", &["cpu"], 0, 1_000_000),
    event("task-clock", &[], 1, 1_000_000),
    event("page-faults", &["faults"], 2, 100),
    event("context-switches", &["cs"], 3, 1000),
    event("cpu-migrations", &[], 4, 1),
    event("minor-faults", &[], 5, 100),
    event("major-faults", &[], 6, 1),
    event("alignment-faults", &[], 7, 1),
    event("emulation-faults", &[], 8, 1),
    event("dummy", &[], 9, 1),
    event("bpf-output", &[], 10, 1),
];

/// `PERF_COUNT_HW_*` of `include/uapi/linux/perf_event.h`.
const HARDWARE_EVENTS: &[PerfEvent] = &[
    event("cpu-cycles", &["cycles"], 0, 1_000_000),
    event("instructions", &[], 1, 1_000_000),
    event("cache-references", &[], 2, 1_000_000),
    event("cache-misses", &[], 3, 1_000_000),
    event("branch-instructions", &["branches"], 4, 100_000),
    event("branch-misses", &[], 5, 100_000),
    event("bus-cycles", &[], 6, 100_000),
    event("frontend-stalls", &[], 7, 1_000_000),
    event("backend-stalls", &[], 8, 1_000_000),
    event("ref-cycles", &[], 9, 1_000_000),
];

/// Every software event and hardware event, as `(kind, event)`.
pub fn perf_events() -> impl Iterator<Item = (&'static str, &'static str)> {
    let software = SOFTWARE_EVENTS.iter().map(|event| ("software", event.name));
    software.chain(HARDWARE_EVENTS.iter().map(|event| ("hardware", event.name)))
}

/// The name of a software event by its number.
pub fn software_event_name(config: u64) -> Option<&'static str> {
    SOFTWARE_EVENTS.iter().find(|event| event.config == config).map(|event| event.name)
}

fn perf_event(parts: &[&str], events: &'static [PerfEvent]) -> Result<(u64, u64), ParseFailure> {
    let (name, period) = match parts {
        [name] => (name, None),
        [name, period] => (name, Some(positive(1, period)?)),
        _ => return Err(Shape),
    };
    let row = events.iter().find(|event| event.name == *name || event.aliases.contains(name));
    let row = row.ok_or_else(|| NoSuchName(0, events.iter().map(|event| event.name).collect()))?;
    Ok((row.config, period.unwrap_or(row.default_period)))
}

fn timer_period(parts: &[&str]) -> Result<u64, ParseFailure> {
    let (unit, count) = match parts {
        [count] => return duration(count),
        [unit, count] => (*unit, positive(1, count)?),
        _ => return Err(Shape),
    };
    let nanoseconds = match unit {
        "hz" => return Ok((1_000_000_000 / count).max(1)),
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" => 1000,
        "ns" => 1,
        _ => return Err(NoSuchName(0, vec!["hz", "s", "ms", "us", "ns"])),
    };
    count.checked_mul(nanoseconds).ok_or_else(|| Part(1, "longer than 584 years".into()))
}

/// `interval:1s`, as newer bpftrace has it.
fn duration(text: &str) -> Result<u64, ParseFailure> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    match text.split_at(digits) {
        (_, "") | ("", _) => Err(Shape),
        (count, unit) => timer_period(&[unit, count]),
    }
}

fn positive(index: usize, text: &str) -> Result<u64, ParseFailure> {
    match text.parse::<u64>() {
        Ok(0) => Err(Part(index, "must be 1 or more".into())),
        Ok(number) => Ok(number),
        Err(_) => Err(Part(index, "must be a whole number of 1 or more".into())),
    }
}

fn function_name(parts: &[&str]) -> Result<String, ParseFailure> {
    match parts {
        [name] | [_, name] if is_symbol(name) => Ok((*name).to_owned()),
        [_] => Err(Part(0, "is not the name of a function".into())),
        _ => Err(Shape),
    }
}

fn function_and_offset(parts: &[&str]) -> Result<(String, u64), ParseFailure> {
    let Some((name, offset)) = parts.last().and_then(|last| last.split_once('+')) else {
        return Ok((function_name(parts)?, 0));
    };
    let parsed = match offset.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => offset.parse(),
    };
    let offset = parsed.map_err(|_| Part(parts.len() - 1, "has an offset that is not a number".into()))?;
    Ok((function_name(&[name])?, offset))
}

fn user_function(parts: &[&str], ret: bool) -> Result<AttachSpec, ParseFailure> {
    let &[path, place] = parts else { return Err(Shape) };
    let (function, offset) = match place.strip_prefix("0x") {
        Some(address) => {
            (String::new(), u64::from_str_radix(address, 16).map_err(|_| Part(1, "is no address".into()))?)
        }
        None if place.contains(['*', '?']) => return Err(Part(1, "must be one function".into())),
        None => function_and_offset(&[place])?,
    };
    if ret && offset != 0 && !function.is_empty() {
        return Err(Part(1, "a return has no offset".into()));
    }
    Ok(AttachSpec::Uprobe { path: path.to_owned(), function, offset, ret })
}

fn is_symbol(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_spelled_out() {
        let parse = |kind: &str, parts: &[&str]| (find(kind).expect("a kind").parse)(parts);
        assert_eq!(parse("s", &["page-faults"]), Ok(AttachSpec::Software { config: 2, period: 100 }));
        assert_eq!(parse("software", &["faults", "1"]), Ok(AttachSpec::Software { config: 2, period: 1 }));
        assert_eq!(parse("i", &["s", "1"]), Ok(AttachSpec::Interval { period: 1_000_000_000 }));
        assert_eq!(parse("interval", &["5ms"]), Ok(AttachSpec::Interval { period: 5_000_000 }));
        assert_eq!(parse("profile", &["hz", "100"]), Ok(AttachSpec::Profile { period: 10_000_000 }));
        assert_eq!(parse("interval", &["s", "0"]), Err(Part(1, "must be 1 or more".into())));
        assert_eq!(parse("BEGIN", &["x"]), Err(Shape));
    }

    #[test]
    fn every_kind_is_found_by_its_attach_points() {
        let samples = [AttachSpec::Begin, AttachSpec::Interval { period: 1 }];
        assert!(samples.iter().all(|attach| PROBE_KINDS.iter().any(|kind| kind.name == of(attach).name)));
    }
}
