//! What the running kernel has: its release, its dynamic PMUs for kprobes and uprobes, its functions.

use std::fs;

use pfscript_compiler::kernel::Unavailable;

const EVENT_SOURCES: &str = "/sys/bus/event_source/devices";

/// `(major, minor)` of the running kernel; zeroes when it does not say.
pub fn release() -> (u32, u32) {
    parse_release(&fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())
}

/// `(major, minor)` of a release such as `6.18.44-cloud`.
fn parse_release(text: &str) -> (u32, u32) {
    let mut numbers = text.split(['.', '-', '+']).map_while(|part| part.trim().parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// How many CPUs this machine may ever have; 1 when it does not say.
pub fn possible_cpus() -> u32 {
    aya::util::nr_cpus().ok().and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
}

/// A dynamic PMU: perf attaches kprobes through one, uprobes through the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbePmu {
    /// `perf_event_attr.type`
    pub pmu: u32,
    /// The bit of `perf_event_attr.config` that asks for the function's return.
    return_bit: u32,
}

impl ProbePmu {
    /// The running kernel's for kprobes.
    ///
    /// # Errors
    /// The kernel is built without.
    pub fn kprobe() -> Result<Self, Unavailable> {
        Self::find("kprobe")
    }

    /// The running kernel's for uprobes.
    ///
    /// # Errors
    /// The kernel is built without.
    pub fn uprobe() -> Result<Self, Unavailable> {
        Self::find("uprobe")
    }

    fn find(kind: &str) -> Result<Self, Unavailable> {
        let read = |file: &str| fs::read_to_string(format!("{EVENT_SOURCES}/{kind}/{file}")).ok();
        let pmu = read("type").and_then(|text| text.trim().parse().ok());
        let return_bit = read("format/retprobe").and_then(|text| parse_bit(&text));
        match (pmu, return_bit) {
            (Some(pmu), Some(return_bit)) => Ok(Self { pmu, return_bit }),
            _ => Err(Unavailable::Unknown(format!("this kernel has no {kind}s (no {EVENT_SOURCES}/{kind})"))),
        }
    }

    /// `perf_event_attr.config` for a function's entry, or for its return.
    pub fn config(self, ret: bool) -> u64 {
        u64::from(ret) << self.return_bit
    }
}

/// The number in `config:N`.
fn parse_bit(text: &str) -> Option<u32> {
    text.trim().strip_prefix("config:")?.parse().ok().filter(|&bit| bit < 64)
}

/// Whether /proc/kallsyms lists the function `name`. Slow: tens of ms.
pub fn is_kernel_symbol(name: &str) -> bool {
    let text = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    text.lines().any(|line| line.split_whitespace().nth(2) == Some(name))
}

/// The address of `name` by /proc/kallsyms. Slow: tens of ms.
///
/// # Errors
/// There is no such symbol, or the kernel hides addresses.
pub fn symbol_address(name: &str) -> Result<u64, Unavailable> {
    let text = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    match find_symbol(&text, name) {
        Some(0) => Err(Unavailable::Unknown("the kernel hides addresses (sysctl kernel.kptr_restrict)".into())),
        Some(address) => Ok(address),
        None if text.is_empty() => Err(Unavailable::Unknown("/proc/kallsyms cannot be read".into())),
        None => Err(Unavailable::NotFound),
    }
}

/// The address of the first symbol of that name: the kernel's own come before those of modules.
fn find_symbol(kallsyms: &str, name: &str) -> Option<u64> {
    kallsyms.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let address = fields.next()?;
        (fields.nth(1)? == name).then(|| u64::from_str_radix(address, 16).ok()).flatten()
    })
}

/// The capabilities that tracing needs and this process lacks, by name.
pub fn missing_capabilities() -> Vec<&'static str> {
    missing_of(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// CAP_SYS_ADMIN stands for both of the newer ones.
fn missing_of(status: &str) -> Vec<&'static str> {
    const SYS_ADMIN: u32 = 21;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX);
    let has = |bit: u32| effective >> bit & 1 == 1;
    let wanted = [("CAP_PERFMON", 38), ("CAP_BPF", 39)];
    wanted.into_iter().filter(|&(_, bit)| !has(bit) && !has(SYS_ADMIN)).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_are_understood() {
        assert_eq!(parse_release("6.18.44-fc-v657\n"), (6, 18));
        assert_eq!(parse_release("7.2-rc1"), (7, 2));
        assert_eq!(parse_release("6.1+deb"), (6, 1));
        assert_eq!(parse_release(""), (0, 0));
    }

    #[test]
    fn symbols_are_found_by_their_whole_name() {
        let text = "ffffffff81000000 T _text\nffffffff81000040 t do_exit\nffffffffc0000000 t do_exit\t[module]\n";
        assert_eq!(find_symbol(text, "do_exit"), Some(0xffff_ffff_8100_0040));
        assert_eq!(find_symbol(text, "do"), None);
    }

    #[test]
    fn the_return_bit_is_a_bit_of_config() {
        assert_eq!(parse_bit("config:0\n"), Some(0));
        assert_eq!(parse_bit("config:64"), None);
        assert_eq!(parse_bit("config1:0-7"), None);
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(missing_of("Name:\tx\nCapEff:\t0000000000000000\n"), ["CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing_of("CapEff:\t000000c000000000\n"), [""; 0]);
        assert_eq!(missing_of("CapEff:\t0000004000000000\n"), ["CAP_BPF"]);
        assert_eq!(missing_of("CapEff:\t0000000000200000\n"), [""; 0]);
    }
}
