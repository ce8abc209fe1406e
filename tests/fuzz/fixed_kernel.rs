//! A kernel that is the same everywhere: for fuzzing, where an answer must not depend on the machine.

use pfscript_compiler::KernelInfo;
use pfscript_compiler::kernel::{
    FieldKind, FormatSource, KernelType, Signature, StructId, StructMember, TracepointField, TracepointFormat,
    Unavailable,
};
use pfscript_compiler::manifest::AttachSpec;

/// It has every tracepoint, function and structure that is asked for, all alike.
pub struct FixedKernel;

const KINDS: &[FieldKind] = &[
    FieldKind::Int { bytes: 1, signed: false },
    FieldKind::Int { bytes: 1, signed: true },
    FieldKind::Int { bytes: 2, signed: true },
    FieldKind::Int { bytes: 4, signed: true },
    FieldKind::Int { bytes: 4, signed: false },
    FieldKind::Int { bytes: 8, signed: false },
    FieldKind::CharArray { len: 16 },
    FieldKind::DataLoc,
    FieldKind::Opaque { bytes: 24 },
    FieldKind::IntArray { bytes: 2, signed: true, len: 6 },
];
const NAMES: &[&str] = &["small", "tiny", "prio", "pid", "cpu", "address", "comm", "filename", "mask", "args"];

impl KernelInfo for FixedKernel {
    fn tracepoint(&self, _: &str, _: &str) -> Result<TracepointFormat, Unavailable> {
        let fields = NAMES.iter().zip(KINDS).zip((8..).step_by(24));
        let fields = fields.map(|((name, &kind), offset)| TracepointField { name: (*name).into(), offset, kind });
        Ok(TracepointFormat { fields: fields.collect(), source: FormatSource::BuiltIn })
    }

    fn tracepoints(&self) -> Vec<(String, String)> {
        vec![("sched".into(), "sched_switch".into())]
    }

    fn function(&self, _: &str) -> Result<Signature, Unavailable> {
        let params = vec![("vma".into(), KernelType::StructPointer(StructId(1))), ("flags".into(), int(4, false))];
        Ok(Signature { params, returns: int(4, true) })
    }

    fn functions(&self, _: &str) -> Vec<String> {
        vec!["do_exit".into(), "handle_mm_fault".into()]
    }

    fn raw_tracepoint(&self, name: &str) -> Result<Signature, Unavailable> {
        self.function(name)
    }

    fn structure(&self, _: &str) -> Result<StructId, Unavailable> {
        Ok(StructId(1))
    }

    fn members(&self, _: StructId) -> Result<Vec<StructMember>, Unavailable> {
        let member = |name: &str, offset, ty, bits| StructMember { name: name.into(), offset, ty, bits };
        Ok(vec![
            member("next", 0, KernelType::StructPointer(StructId(1)), None),
            member("pid", 8, int(4, true), None),
            member("flag", 12, int(4, false), Some((3, 2))),
            member("comm", 16, KernelType::CharArray { len: 16 }, None),
            member("inner", 32, KernelType::Struct(StructId(2)), None),
            member("name", 64, KernelType::TextPointer, None),
            member("ops", 72, KernelType::Pointer, None),
            member("odd", 80, KernelType::Opaque { bytes: 5 }, None),
            member("list", 88, KernelType::Array { element: Box::new(int(4, true)), stride: 4, len: 3 }, None),
        ])
    }

    fn enumerator(&self, name: &str) -> Result<i128, Unavailable> {
        if name == "MM_ANONPAGES" { Ok(1) } else { Err(Unavailable::NotFound) }
    }

    fn symbol_address(&self, _: &str) -> Result<u64, Unavailable> {
        Ok(0xffff_ffff_8100_0000)
    }

    fn offers(&self, _: &AttachSpec) -> Result<(), Unavailable> {
        Ok(())
    }

    fn release(&self) -> (u32, u32) {
        (6, 1)
    }

    fn possible_cpus(&self) -> u32 {
        4
    }
}

fn int(bytes: u8, signed: bool) -> KernelType {
    KernelType::Int { bytes, signed }
}
