//! What processes have mapped, of those that live and of those that have ended.
//!
//! Of a process that lives /proc/PID/maps tells, read when a stack of it is shown and again after
//! each drain of the buffers. Of one that has ended what perf's side band told of it: that is
//! all of it when the program was started (by exec) while tracing, and for a copy of a process
//! that was there before (by fork alone) what that one has mapped. What is not known: mappings of
//! a process that was there before, and has ended before a stack of it was first shown.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use super::mappings::{Mapping, Mappings};
use super::watch::{Change, Watch};
use super::{Address, Frame, Names};

/// The most processes that are remembered: the oldest is forgotten first.
const MOST: usize = 16384;

/// What is known about processes.
#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<u32, Mappings>,
    /// The known ones in the order in which they became known.
    order: VecDeque<u32>,
    /// The process that another is a copy of, which has the same mapped as far as is not known.
    parents: HashMap<u32, u32>,
    /// Those that /proc was asked about since the last drain.
    asked: HashSet<u32>,
    watch: Option<Watch>,
}

impl Processes {
    /// Watches what processes map from now on; without the privilege to, only processes that live
    /// while their stack is shown have names in it.
    pub fn watched(cpus: &[u32]) -> Self {
        Self { watch: Watch::open(cpus).ok(), ..Self::default() }
    }

    /// Takes in what happened; to be called at each drain of the buffers.
    pub fn look_again(&mut self) {
        self.asked.clear();
        self.take_changes();
    }

    fn take_changes(&mut self) {
        let changes = self.watch.as_mut().map(Watch::changes).unwrap_or_default();
        changes.into_iter().for_each(|change| self.apply(change));
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Exec { pid } => {
                self.parents.remove(&pid);
                self.learn(pid, Mappings::default());
            }
            Change::Mapped { pid, mapping } => {
                if !self.known.contains_key(&pid) {
                    self.learn(pid, Mappings::default());
                }
                self.known.entry(pid).or_default().add(mapping);
            }
            Change::Fork { pid, parent } => {
                self.descend(pid, parent);
                self.learn(pid, self.known.get(&parent).cloned().unwrap_or_default());
            }
        }
    }

    /// Remembers where a process came from, without what lies between: a copy of a copy.
    fn descend(&mut self, pid: u32, parent: u32) {
        if self.parents.len() >= MOST {
            self.parents.clear();
        }
        let origin = self.parents.get(&parent).copied().unwrap_or(parent);
        self.parents.insert(pid, origin);
    }

    fn learn(&mut self, pid: u32, mappings: Mappings) {
        if self.known.insert(pid, mappings).is_some() {
            return;
        }
        self.order.push_back(pid);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// The name of `address` in the process: a function's if its file has symbols, else a place in
    /// the file, else the address alone.
    pub fn name(&mut self, names: &mut Names, pid: u32, address: Address) -> Frame {
        let Some(mapping) = self.find(pid, address.inside()) else {
            return format!("{:#x} [unknown]", address.value).into();
        };
        let offset = Address { value: address.value - mapping.start + mapping.offset, ..address };
        let named = file_of(pid, mapping).and_then(|path| names.in_file(&path, offset));
        named.unwrap_or_else(|| place(address, mapping, offset.value))
    }

    /// The path of the file that is mapped at `address` of the process.
    pub fn file(&mut self, pid: u32, address: Address) -> Option<String> {
        let mapping = self.find(pid, address.inside())?;
        (!mapping.path.as_os_str().is_empty()).then(|| mapping.path.display().to_string())
    }

    /// What lies at `address` of a process, or of the one that it is a copy of.
    fn find(&mut self, pid: u32, address: u64) -> Option<&Mapping> {
        let is_in = |mappings: &Mappings| mappings.find(address).is_some();
        self.ask(pid);
        let holder = match self.parents.get(&pid) {
            Some(&origin) if !self.known.get(&pid).is_some_and(is_in) => {
                self.ask(origin);
                origin
            }
            _ => pid,
        };
        self.known.get(&holder)?.find(address)
    }

    /// Takes in what happened, and reads /proc/PID/maps, unless that was done since the last drain
    /// or the process has ended: what is shown now may be of one that began and ended since.
    fn ask(&mut self, pid: u32) {
        if !self.asked.insert(pid) {
            return;
        }
        self.take_changes();
        let now = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        let now = Mappings::parse(&String::from_utf8_lossy(&now));
        if !now.is_empty() {
            self.learn(pid, now);
        }
    }
}

/// An address without a name, with what is mapped there.
fn place(address: Address, mapping: &Mapping, offset: u64) -> Frame {
    let file = mapping.path.file_name().unwrap_or(mapping.path.as_os_str()).to_string_lossy();
    match &*file {
        "" => format!("{:#x} [unknown]", address.value).into(),
        file => format!("{:#x} [{}+{offset:#x}]", address.value, file.trim_matches(['[', ']'])).into(),
    }
}

/// The mapped file as this process can open it: by its path if that still is the same file, else
/// through the process, which may see other files or keep one that was deleted.
fn file_of(pid: u32, mapping: &Mapping) -> Option<Rc<Path>> {
    if mapping.inode == 0 {
        return None;
    }
    let is_it = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.ino() == mapping.inode);
    if is_it(&mapping.path) {
        return Some(Rc::clone(&mapping.path));
    }
    let in_root = format!("/proc/{pid}/root{}", mapping.path.display());
    let mapped = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    [in_root, mapped].iter().map(Path::new).find(|path| is_it(path)).map(Rc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_process_is_named() {
        let (mut processes, mut names) = (Processes::default(), Names::new());
        let value = Processes::look_again as *const () as u64;
        let address = Address { value, is_return: false };
        let name = processes.name(&mut names, std::process::id(), address);
        assert!(name.contains("Processes::look_again") && name.ends_with("+0"), "{name}");
        let unknown = processes.name(&mut names, std::process::id(), Address { value: 16, is_return: false });
        assert_eq!(&*unknown, "0x10 [unknown]");
    }

    #[test]
    fn what_was_told_of_a_process_is_known_after_its_end() {
        let own = fs::read_to_string("/proc/self/maps").expect("procfs is mounted");
        let value = Processes::look_again as *const () as u64;
        let mapping = Mappings::parse(&own).find(value).expect("its code is mapped").clone();
        let mut processes = Processes::default();
        // No process has so high a number.
        let (parent, child) = (u32::MAX - 1, u32::MAX);
        processes.apply(Change::Exec { pid: parent });
        processes.apply(Change::Mapped { pid: parent, mapping });
        processes.apply(Change::Fork { pid: child, parent });
        let address = Address { value, is_return: false };
        let name = processes.name(&mut Names::new(), child, address);
        assert!(name.contains("look_again"), "{name}");
        processes.apply(Change::Exec { pid: child });
        assert!(processes.name(&mut Names::new(), child, address).ends_with("[unknown]"));
    }

    #[test]
    fn a_copy_of_a_process_has_the_same_mapped() {
        let mut processes = Processes::default();
        let value = Processes::look_again as *const () as u64;
        // Two copies, one of the other, that have ended: no process has so high a number.
        let (child, grandchild) = (u32::MAX - 1, u32::MAX);
        processes.apply(Change::Fork { pid: child, parent: std::process::id() });
        processes.apply(Change::Fork { pid: grandchild, parent: child });
        let name = processes.name(&mut Names::new(), grandchild, Address { value, is_return: false });
        assert!(name.contains("look_again"), "{name}");
    }

    #[test]
    fn the_oldest_process_is_forgotten_first() {
        let mut processes = Processes::default();
        for pid in 0..=MOST as u32 {
            processes.apply(Change::Exec { pid });
        }
        assert_eq!((processes.known.len(), processes.known.contains_key(&0)), (MOST, false));
    }
}
