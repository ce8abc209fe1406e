//! The running kernel, as the compiler and the loader ask about it.
//!
//! Nothing is read before it is asked for: starting takes a few ms in all.

pub mod btf;
mod built_in;
mod c_types;
pub mod features;
mod glob;
pub mod tracefs;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;

use pfscript_compiler::kernel::{
    FormatSource, KernelInfo, Signature, StructId, StructMember, TracepointFormat, Unavailable,
};
use pfscript_compiler::manifest::AttachSpec;

use crate::symbols::programs::Programs;
use btf::Btf;
use features::ProbePmu;
use tracefs::{Tracefs, function_name};

/// The running kernel.
#[derive(Debug, Default)]
pub struct Kernel {
    tracefs: OnceCell<Result<Tracefs, Unavailable>>,
    btf: OnceCell<Result<Btf, String>>,
    programs: Programs,
    addresses: Asked<String, Result<u64, Unavailable>>,
    formats: Asked<(String, String), Result<TracepointFormat, Unavailable>>,
    functions: Asked<String, Result<Signature, Unavailable>>,
    raw_tracepoints: Asked<String, Result<Signature, Unavailable>>,
    structures: Asked<String, Result<StructId, Unavailable>>,
    enumerators: Asked<String, Result<i128, Unavailable>>,
    members: Asked<StructId, Result<Vec<StructMember>, Unavailable>>,
}

/// The answers to what was asked already: the checker asks again and again.
#[derive(Debug)]
struct Asked<K, V>(RefCell<HashMap<K, V>>);

impl<K, V> Default for Asked<K, V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Eq + Hash, V: Clone> Asked<K, V> {
    fn or_ask(&self, key: K, ask: impl FnOnce() -> V) -> V {
        self.0.borrow_mut().entry(key).or_insert_with(ask).clone()
    }
}

impl Kernel {
    /// The running kernel; reads nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its tracefs.
    ///
    /// # Errors
    /// It is not mounted, or not to be read by this user.
    pub fn tracefs(&self) -> Result<&Tracefs, Unavailable> {
        self.tracefs.get_or_init(Tracefs::find).as_ref().map_err(Clone::clone)
    }

    /// Its BTF.
    ///
    /// # Errors
    /// Why there is none.
    pub fn btf(&self) -> Result<&Btf, Unavailable> {
        self.btf.get_or_init(Btf::of_kernel).as_ref().map_err(|why| Unavailable::Unknown(why.clone()))
    }

    /// The programs and libraries that uprobes can be put in.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The layout of a tracepoint's record, as tracefs has it, else BTF, else upstream kernels.
    fn format(&self, category: &str, name: &str) -> Result<TracepointFormat, Unavailable> {
        let why = match self.tracefs().and_then(|tracefs| tracefs.format(category, name)) {
            Ok(fields) => return Ok(TracepointFormat { fields, source: FormatSource::Tracefs }),
            Err(Unavailable::NotFound) => return Err(Unavailable::NotFound),
            Err(why) => why,
        };
        let otherwise = self.format_by_btf(name).or_else(|| self.built_in_format(category, name));
        otherwise.ok_or_else(|| match self.btf() {
            Ok(btf) if !category.starts_with("syscalls") && !btf.has_tracepoint(name) => Unavailable::NotFound,
            _ => why,
        })
    }

    fn format_by_btf(&self, name: &str) -> Option<TracepointFormat> {
        let btf = self.btf().ok()?;
        let own = btf.event_fields(name);
        let known = || btf.event_fields(built_in::event_class(name)?);
        let fields = own.or_else(known).or_else(|| btf.event_fields(&btf.event_class(name)?))?;
        Some(TracepointFormat { fields, source: FormatSource::KernelBtf })
    }

    fn built_in_format(&self, category: &str, name: &str) -> Option<TracepointFormat> {
        let fields = built_in::event_fields(category, name, self.release())?;
        Some(TracepointFormat { fields, source: FormatSource::BuiltIn })
    }

    /// Whether there is a kprobe PMU and such a function.
    fn offers_kprobe(&self, function: &str) -> Result<(), Unavailable> {
        ProbePmu::kprobe()?;
        let by_btf = self.btf().is_ok_and(|btf| btf.function(function).is_some());
        if by_btf || features::is_kernel_symbol(function) { Ok(()) } else { Err(Unavailable::NotFound) }
    }

    /// Whether BTF has the function and ftrace can trace it.
    fn offers_fentry(&self, function: &str) -> Result<(), Unavailable> {
        self.btf()?.function(function).ok_or(Unavailable::NotFound)?;
        self.tracefs()?.traceable(function)
    }

    /// Whether there is a tracepoint, as far as can be told: BTF knows no categories.
    fn offers_tracepoint(&self, category: &str, name: &str) -> Result<(), Unavailable> {
        match self.tracefs() {
            Ok(tracefs) => tracefs.event_id(category, name).map(drop),
            Err(why) => self.offers_raw_tracepoint(name).map_err(|_| why),
        }
    }

    fn offers_raw_tracepoint(&self, name: &str) -> Result<(), Unavailable> {
        if self.btf()?.has_tracepoint(name) { Ok(()) } else { Err(Unavailable::NotFound) }
    }
}

impl KernelInfo for Kernel {
    fn tracepoint(&self, category: &str, name: &str) -> Result<TracepointFormat, Unavailable> {
        self.formats.or_ask((category.to_owned(), name.to_owned()), || self.format(category, name))
    }

    fn tracepoints(&self) -> Vec<(String, String)> {
        let listed = self.tracefs().map(Tracefs::tracepoints).unwrap_or_default();
        if !listed.is_empty() {
            return listed;
        }
        let names = self.btf().map(Btf::tracepoints).unwrap_or_default();
        names.into_iter().map(|name| (category_of(&name).to_owned(), name)).collect()
    }

    fn function(&self, name: &str) -> Result<Signature, Unavailable> {
        self.functions.or_ask(name.to_owned(), || self.btf()?.signature(name).ok_or(Unavailable::NotFound))
    }

    fn functions(&self, pattern: &str) -> Vec<String> {
        let traceable = self.tracefs().map(Tracefs::functions).unwrap_or_default();
        let mut names: Vec<String> = match self.btf() {
            Ok(btf) if traceable.is_empty() => {
                btf.functions().filter(|name| glob::matches(pattern, name)).map(String::from).collect()
            }
            _ => traceable
                .lines()
                .map(function_name)
                .filter(|name| glob::matches(pattern, name))
                .map(String::from)
                .collect(),
        };
        names.sort_unstable();
        names.dedup();
        names
    }

    fn raw_tracepoint(&self, name: &str) -> Result<Signature, Unavailable> {
        let ask = || self.btf()?.raw_tracepoint(name).ok_or(Unavailable::NotFound);
        self.raw_tracepoints.or_ask(name.to_owned(), ask)
    }

    fn structure(&self, name: &str) -> Result<StructId, Unavailable> {
        self.structures.or_ask(name.to_owned(), || self.btf()?.structure(name).ok_or(Unavailable::NotFound))
    }

    fn members(&self, structure: StructId) -> Result<Vec<StructMember>, Unavailable> {
        self.members.or_ask(structure, || self.btf()?.members(structure).ok_or(Unavailable::NotFound))
    }

    fn enumerator(&self, name: &str) -> Result<i128, Unavailable> {
        self.enumerators.or_ask(name.to_owned(), || self.btf()?.enumerator(name).ok_or(Unavailable::NotFound))
    }

    fn symbol_address(&self, name: &str) -> Result<u64, Unavailable> {
        self.addresses.or_ask(name.to_owned(), || features::symbol_address(name))
    }

    fn offers(&self, attach: &AttachSpec) -> Result<(), Unavailable> {
        match attach {
            AttachSpec::Begin | AttachSpec::End => Ok(()),
            AttachSpec::Software { .. } | AttachSpec::Interval { .. } | AttachSpec::Profile { .. } => Ok(()),
            AttachSpec::Hardware { .. } => {
                Err(Unavailable::Unknown("whether there is a hardware counter shows only when it is opened".into()))
            }
            AttachSpec::Kprobe { function, .. } => self.offers_kprobe(function),
            AttachSpec::Uprobe { path, function, offset, .. } => {
                ProbePmu::uprobe()?;
                self.programs.locate(path, function, *offset).map(drop)
            }
            AttachSpec::Fentry { function, .. } => self.offers_fentry(function),
            AttachSpec::Tracepoint { category, name } => self.offers_tracepoint(category, name),
            AttachSpec::RawTracepoint { name } => self.offers_raw_tracepoint(name),
        }
    }

    fn release(&self) -> (u32, u32) {
        features::release()
    }

    fn possible_cpus(&self) -> u32 {
        features::possible_cpus()
    }
}

/// A tracepoint's likely category where only BTF can be read: most names begin with theirs.
fn category_of(name: &str) -> &str {
    match name.split('_').next() {
        Some("page") => "exceptions",
        Some("mm") => "kmem",
        Some("sys") => "raw_syscalls",
        Some(prefix) => prefix,
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use pfscript_compiler::kernel::KernelType;

    use super::*;

    /// The running kernel says the same in its two languages; without root there is only one.
    #[test]
    fn tracefs_and_btf_agree() {
        let kernel = Kernel::new();
        let (Ok(tracefs), Ok(_)) = (kernel.tracefs(), kernel.btf()) else { return };
        let events = [
            ("sched", "sched_process_free"),
            ("sched", "sched_process_fork"),
            ("sched", "sched_process_exit"),
            ("sched", "sched_process_exec"),
            ("sched", "sched_switch"),
            ("sched", "sched_wakeup"),
            ("kmem", "kmalloc"),
            ("raw_syscalls", "sys_enter"),
        ];
        for (category, name) in events {
            let by_btf = kernel.format_by_btf(name).expect("BTF has every record of these");
            assert_eq!(tracefs.format(category, name), Ok(by_btf.fields), "{category}:{name}");
        }
    }

    /// What a structure of every kernel is known to hold.
    #[test]
    fn members_of_the_kernels_own_structures_are_found() {
        let kernel = Kernel::new();
        let Ok(task) = kernel.structure("task_struct") else { return };
        let members = kernel.members(task).expect("is defined");
        let ty = |name: &str| members.iter().find(|member| member.name == name).map(|member| &member.ty);
        assert_eq!(ty("comm"), Some(&KernelType::CharArray { len: 16 }));
        assert_eq!(ty("tgid"), Some(&KernelType::Int { bytes: 4, signed: true }));
        let mm = kernel.structure("mm_struct").expect("every kernel has it");
        assert_eq!(ty("mm"), Some(&KernelType::StructPointer(mm)));
        let in_execve = members.iter().find(|member| member.name == "in_execve").expect("every kernel has it");
        assert_eq!(in_execve.bits.map(|(_, width)| width), Some(1));
    }

    #[test]
    fn arguments_of_the_kernels_own_functions_are_found() {
        let kernel = Kernel::new();
        if kernel.btf().is_err() {
            return;
        }
        let fault = kernel.function("handle_mm_fault").expect("every kernel has it");
        let area = kernel.structure("vm_area_struct").expect("every kernel has it");
        assert_eq!(fault.params[0], ("vma".to_owned(), KernelType::StructPointer(area)));
        assert_eq!(fault.params[1].1, KernelType::Int { bytes: 8, signed: false });
        let switch = kernel.raw_tracepoint("sched_switch").expect("every kernel has it");
        let task = KernelType::StructPointer(kernel.structure("task_struct").expect("every kernel has it"));
        assert_eq!(switch.params[1], ("prev".to_owned(), task.clone()));
        assert_eq!(switch.params[2], ("next".to_owned(), task));
        let named = kernel.functions("handle_mm_f*t");
        assert!(named.contains(&"handle_mm_fault".to_owned()), "{named:?}");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let kernel = Kernel::new();
        if kernel.btf().is_ok() {
            let nothing = AttachSpec::RawTracepoint { name: "no_such_tracepoint".into() };
            assert_eq!(kernel.offers(&nothing), Err(Unavailable::NotFound));
            assert_eq!(kernel.tracepoint("sched", "no_such_tracepoint"), Err(Unavailable::NotFound));
        }
    }

    #[test]
    fn a_known_tracepoint_has_a_layout_without_any_kernel() {
        let kernel = Kernel::new();
        let format = kernel.built_in_format("sched", "sched_process_free").expect("is built in");
        assert_eq!(format.source, FormatSource::BuiltIn);
        assert!(format.fields.is_sorted_by_key(|field| field.offset));
        assert!(format.fields.iter().any(|field| field.name == "pid"));
    }
}
