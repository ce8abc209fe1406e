//! The running kernel, as the compiler and the loader ask about it.
//!
//! Nothing is read before it is asked for: starting takes a few ms in all.

pub mod btf;
mod built_in;
pub mod features;
pub mod tracefs;

use std::cell::OnceCell;

use pfscript_compiler::kernel::{
    FormatSource, KernelInfo, Signature, StructId, StructMember, TracepointFormat, Unavailable,
};
use pfscript_compiler::manifest::AttachSpec;

use btf::Btf;
use features::KprobePmu;
use tracefs::Tracefs;

/// The running kernel.
#[derive(Debug, Default)]
pub struct Kernel {
    tracefs: OnceCell<Result<Tracefs, Unavailable>>,
    btf: OnceCell<Result<Btf, String>>,
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

    fn format_by_btf(&self, name: &str) -> Option<TracepointFormat> {
        let btf = self.btf().ok()?;
        let known = built_in::event_class(name).and_then(|class| btf.event_fields(class));
        let fields = known.or_else(|| btf.event_fields(&btf.event_class(name)?))?;
        Some(TracepointFormat { fields, source: FormatSource::KernelBtf })
    }

    fn built_in_format(&self, category: &str, name: &str) -> Option<TracepointFormat> {
        let fields = built_in::event_fields(category, name, self.release())?;
        Some(TracepointFormat { fields, source: FormatSource::BuiltIn })
    }

    /// Whether there is a kprobe PMU and such a function.
    fn offers_kprobe(&self, function: &str) -> Result<(), Unavailable> {
        KprobePmu::find()?;
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

    fn tracepoints(&self) -> Vec<(String, String)> {
        let listed = self.tracefs().map(Tracefs::tracepoints).unwrap_or_default();
        if !listed.is_empty() {
            return listed;
        }
        let names = self.btf().map(Btf::tracepoints).unwrap_or_default();
        names.into_iter().map(|name| (category_of(&name).to_owned(), name)).collect()
    }

    fn function(&self, _: &str) -> Result<Signature, Unavailable> {
        Err(Unavailable::Unknown("the arguments of functions are not read yet".into()))
    }

    fn functions(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn raw_tracepoint(&self, _: &str) -> Result<Signature, Unavailable> {
        Err(Unavailable::Unknown("the arguments of raw tracepoints are not read yet".into()))
    }

    fn structure(&self, _: &str) -> Result<StructId, Unavailable> {
        Err(Unavailable::Unknown("structures are not read yet".into()))
    }

    fn members(&self, _: StructId) -> Result<Vec<StructMember>, Unavailable> {
        Err(Unavailable::Unknown("structures are not read yet".into()))
    }

    fn offers(&self, attach: &AttachSpec) -> Result<(), Unavailable> {
        match attach {
            AttachSpec::Begin | AttachSpec::End => Ok(()),
            AttachSpec::Software { .. } | AttachSpec::Interval { .. } | AttachSpec::Profile { .. } => Ok(()),
            AttachSpec::Hardware { .. } => {
                Err(Unavailable::Unknown("whether there is a hardware counter shows only when it is opened".into()))
            }
            AttachSpec::Kprobe { function, .. } => self.offers_kprobe(function),
            AttachSpec::Uprobe { .. } => Ok(()),
            AttachSpec::Fentry { function, .. } => self.offers_fentry(function),
            AttachSpec::Tracepoint { category, name } => self.offers_tracepoint(category, name),
            AttachSpec::RawTracepoint { name } => self.offers_raw_tracepoint(name),
        }
    }

    fn release(&self) -> (u32, u32) {
        features::release()
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
    use super::*;

    /// The running kernel says the same in its two languages; without root there is only one.
    #[test]
    fn tracefs_and_btf_agree() {
        let kernel = Kernel::new();
        let (Ok(tracefs), Ok(_)) = (kernel.tracefs(), kernel.btf()) else { return };
        let events = [
            ("sched", "sched_process_free"),
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
