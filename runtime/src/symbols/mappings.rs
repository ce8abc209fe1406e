//! Which file is mapped where in a process.

use std::path::Path;
use std::rc::Rc;

/// Executable memory of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// The file's inode; 0 when no file is mapped.
    pub inode: u64,
    /// The file as the process sees it, or `[vdso]` and the like.
    pub path: Rc<Path>,
}

impl Mapping {
    /// What of it lies from `start` to `end`.
    fn part(&self, start: u64, end: u64) -> Option<Self> {
        let (start, end) = (start.max(self.start), end.min(self.end));
        let part = || Self { start, end, offset: self.offset + (start - self.start), ..self.clone() };
        (start < end).then(part)
    }
}

/// The executable memory of a process, in order of its addresses, without overlaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    /// What /proc/PID/maps says; lines that are not understood are left out.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(parse_line).collect())
    }

    /// The mapping that `address` lies in.
    pub fn find(&self, address: u64) -> Option<&Mapping> {
        let after = self.0.partition_point(|mapping| mapping.end <= address);
        self.0.get(after).filter(|mapping| mapping.start <= address)
    }

    /// Adds a mapping; what it covers of others is gone, what is left of them stays. The linker maps
    /// the whole of a library first, and then pieces of it over that.
    pub fn add(&mut self, mapping: Mapping) {
        let rest = |other: &Mapping| [other.part(0, mapping.start), other.part(mapping.end, u64::MAX)];
        let mut mappings: Vec<_> = self.0.iter().flat_map(rest).flatten().collect();
        let at = mappings.partition_point(|other| other.start < mapping.start);
        mappings.insert(at, mapping);
        self.0 = mappings;
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `START-END PERMISSIONS OFFSET DEVICE INODE PATH`, the path possibly with spaces.
fn parse_line(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let (field, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start();
        field
    };
    let (range, permissions, offset, _device, inode) = (field(), field(), field(), field(), field());
    let (start, end) = range.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let mapping = Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        inode: inode.parse().ok()?,
        path: Path::new(rest).into(),
    };
    permissions.contains('x').then_some(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0c8a00000-55d0c8a02000 r--p 00000000 08:01 1234                       /usr/bin/a b
55d0c8a02000-55d0c8a07000 r-xp 00002000 08:01 1234                       /usr/bin/a b
7f0000000000-7f0000010000 rwxp 00000000 00:00 0 
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
damaged
";

    #[test]
    fn executable_memory_is_found_with_its_file() {
        let mappings = Mappings::parse(MAPS);
        let code = mappings.find(0x55d0_c8a0_2000).expect("mapped");
        assert_eq!((code.offset, code.inode, code.path.to_str()), (0x2000, 1234, Some("/usr/bin/a b")));
        assert_eq!(mappings.find(0x7f00_0000_0001).expect("mapped").inode, 0);
        assert_eq!(mappings.find(0x55d0_c8a0_0000), None, "not executable");
        assert_eq!(mappings.find(0x55d0_c8a0_7000), None, "after the end");
    }

    #[test]
    fn a_new_mapping_replaces_what_it_covers_and_no_more() {
        let mapping = |start, end, offset| Mapping { start, end, offset, inode: 1, path: Path::new("/a").into() };
        let mut mappings = Mappings::default();
        for (start, end) in [(10, 40), (20, 30), (35, 50), (50, 60)] {
            mappings.add(mapping(start, end, 100));
        }
        let expected = [(10, 20, 100), (20, 30, 100), (30, 35, 120), (35, 50, 100), (50, 60, 100)];
        let expected = Mappings(expected.map(|(start, end, offset)| mapping(start, end, offset)).to_vec());
        assert_eq!(mappings, expected);
        mappings.add(mapping(0, 60, 0));
        assert_eq!(mappings, Mappings(vec![mapping(0, 60, 0)]));
    }
}
