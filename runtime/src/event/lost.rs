//! The account of what was lost: told once when it begins and in a total at the end.

use pfscript_compiler::manifest::{CounterKind, Manifest, MapInfo, MapRef, STACKS_MAX_ENTRIES};

/// Something that can be lost.
#[derive(Clone, Debug)]
struct Account {
    what: CounterKind,
    offset: u32,
    count: u64,
    told: bool,
}

/// What was lost so far.
#[derive(Clone, Debug)]
pub struct Losses {
    accounts: Vec<Account>,
    maps: Vec<(String, u32)>,
    /// The map with the processes that a command started.
    started: Option<MapRef>,
    /// Records that the buffers themselves say they dropped: the programs' own count is exact and
    /// counts the same ones, so this serves only where no program counts.
    by_buffers: u64,
    told_by_buffers: bool,
}

impl Losses {
    /// Nothing lost yet.
    pub fn new(manifest: &Manifest) -> Self {
        let account = |counter: &pfscript_compiler::manifest::Counter| Account {
            what: counter.what,
            offset: counter.offset,
            count: 0,
            told: false,
        };
        Self {
            accounts: manifest.counters.iter().map(account).collect(),
            maps: manifest.maps.iter().map(|map| (format!("@{}", map.name), map.max_entries)).collect(),
            started: manifest.maps.iter().position(MapInfo::is_internal).map(|index| MapRef(index as u32)),
            by_buffers: 0,
            told_by_buffers: false,
        }
    }

    /// Whether there are counters to be read.
    pub fn has_counters(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// Takes in the counters' present values: the bytes of `.bss`.
    pub fn read_counters(&mut self, bss: &[u8]) {
        for account in &mut self.accounts {
            let at = account.offset as usize;
            let bytes = bss.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            account.count = bytes.map_or(account.count, u64::from_le_bytes);
        }
    }

    /// Adds records that a buffer says it dropped.
    pub fn dropped_by_buffers(&mut self, records: u64) {
        self.by_buffers += records;
    }

    /// What has begun to be lost since the last call, one sentence each.
    pub fn begun(&mut self) -> Vec<String> {
        let mut begun = Vec::new();
        for account in self.accounts.iter_mut().filter(|account| account.count > 0 && !account.told) {
            account.told = true;
            begun.push(match account.what {
                CounterKind::RecordsLost => records_begun(),
                CounterKind::StacksLost => format!(
                    "stacks are being lost: there is room for {STACKS_MAX_ENTRIES} different ones, and where two \
                     fall on one place the later one is shown as none; take stacks at fewer events"
                ),
                CounterKind::MapFull(map) if self.started == Some(map) => {
                    "the command has started more processes than there is room for: those begun later are not traced"
                        .into()
                }
                CounterKind::MapFull(map) => {
                    let (name, entries) = self.maps.get(map.0 as usize).cloned().unwrap_or_default();
                    format!(
                        "map {name} takes no new key: all its {entries} places are taken, or one run of a probe \
                         made more keys than the kernel has memory at hand for; updates are dropped. Give it more \
                         room with `let {name} = hash(N)`, or delete keys that are done with"
                    )
                }
            });
        }
        if !self.programs_count_records() && self.by_buffers > 0 && !self.told_by_buffers {
            self.told_by_buffers = true;
            begun.push(records_begun());
        }
        begun
    }

    /// The totals, one sentence for each kind of loss that occurred.
    pub fn totals(&self) -> Vec<String> {
        let total = |account: &Account| match account.what {
            CounterKind::RecordsLost => records_total(account.count),
            CounterKind::StacksLost => {
                format!("{} lost: another was in the place, they are shown as none", plural(account.count, "stack"))
            }
            CounterKind::MapFull(map) if self.started == Some(map) => {
                format!("{} of the command not traced", plural(account.count, "process"))
            }
            CounterKind::MapFull(map) => {
                let (name, entries) = self.maps.get(map.0 as usize).cloned().unwrap_or_default();
                format!("map {name} ({entries} places) took no new key: {} dropped", plural(account.count, "update"))
            }
        };
        let lost = self.accounts.iter().filter(|account| account.count > 0).map(total);
        let by_buffers =
            (!self.programs_count_records() && self.by_buffers > 0).then(|| records_total(self.by_buffers));
        lost.chain(by_buffers).collect()
    }

    fn programs_count_records(&self) -> bool {
        self.accounts.iter().any(|account| account.what == CounterKind::RecordsLost)
    }
}

/// How many events came but could not be written, if any.
pub fn unprinted(count: u64) -> Option<String> {
    (count > 0).then(|| format!("{} not printed", plural(count, "event")))
}

fn records_begun() -> String {
    "events are being lost: the perf buffer is full; report fewer of them, or write to a file".into()
}

fn records_total(count: u64) -> String {
    format!("{} lost: the perf buffer was full", plural(count, "event"))
}

fn plural(count: u64, what: &str) -> String {
    let ending = if what.ends_with('s') { "es" } else { "s" };
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}{ending}") }
}

#[cfg(test)]
mod tests {
    use pfscript_compiler::manifest::{Counter, DataType, MapInfo, MapKind, MapRef, MapValue};
    use pfscript_grammar::Span;

    use super::*;

    fn manifest() -> Manifest {
        let map = MapInfo {
            name: "faults".into(),
            symbol: "m_faults".into(),
            kind: MapKind::Hash,
            key: Vec::new(),
            key_names: Vec::new(),
            key_size: 4,
            value: MapValue::Data(DataType::Int { bytes: 8, signed: true }),
            value_size: 8,
            max_entries: 65536,
            span: Span::default(),
        };
        let counters = vec![
            Counter { offset: 8, what: CounterKind::RecordsLost },
            Counter { offset: 16, what: CounterKind::MapFull(MapRef(0)) },
            Counter { offset: 24, what: CounterKind::StacksLost },
        ];
        Manifest { maps: vec![map], counters, bss_size: 32, ..Manifest::default() }
    }

    fn bss(records: u64, updates: u64) -> Vec<u8> {
        [0, records, updates].iter().flat_map(|count| count.to_le_bytes()).collect()
    }

    #[test]
    fn each_loss_is_told_when_it_begins_and_in_total() {
        let mut losses = Losses::new(&manifest());
        losses.read_counters(&bss(0, 0));
        assert!(losses.begun().is_empty() && losses.totals().is_empty());
        losses.read_counters(&bss(3, 0));
        assert_eq!(losses.begun().len(), 1);
        losses.read_counters(&bss(5, 1));
        let begun = losses.begun();
        assert!(
            begun.len() == 1 && begun[0].starts_with("map @faults takes no new key: all its 65536 places"),
            "{begun:?}"
        );
        losses.read_counters(&bss(429, 2));
        assert!(losses.begun().is_empty());
        let totals = [
            "429 events lost: the perf buffer was full",
            "map @faults (65536 places) took no new key: 2 updates dropped",
        ];
        assert_eq!(losses.totals(), totals);
    }

    #[test]
    fn lost_stacks_are_told() {
        let mut losses = Losses::new(&manifest());
        losses.read_counters(&[0_u64, 0, 0, 1].map(u64::to_le_bytes).concat());
        let begun = losses.begun();
        assert!(
            begun.len() == 1 && begun[0].contains(&format!("room for {STACKS_MAX_ENTRIES} different ones")),
            "{begun:?}"
        );
        assert_eq!(losses.totals(), ["1 stack lost: another was in the place, they are shown as none"]);
    }

    #[test]
    fn records_are_not_counted_twice() {
        let mut losses = Losses::new(&manifest());
        losses.read_counters(&bss(1, 0));
        losses.dropped_by_buffers(1);
        assert_eq!(losses.totals(), ["1 event lost: the perf buffer was full"]);
    }

    #[test]
    fn the_buffers_word_counts_where_no_program_counts() {
        let mut losses = Losses::new(&Manifest::default());
        losses.dropped_by_buffers(2);
        assert_eq!((losses.begun().len(), losses.begun().len()), (1, 0));
        assert_eq!(losses.totals(), ["2 events lost: the perf buffer was full"]);
    }
}
