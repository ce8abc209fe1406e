//! The main script, compiled without any machine behind it.

use pfscript_compiler::kernel::{
    FieldKind, FormatSource, Signature, StructId, StructMember, TracepointField, TracepointFormat, Unavailable,
};
use pfscript_compiler::manifest::{Action, AttachSpec, Sequence};
use pfscript_compiler::params::ParamValue;
use pfscript_compiler::{KernelInfo, Options, compile, dump_ir};
use pfscript_grammar::{SourceFile, parse};

struct Upstream;

impl KernelInfo for Upstream {
    fn tracepoint(&self, _: &str, name: &str) -> Result<TracepointFormat, Unavailable> {
        let (field, offset) = match name {
            "sched_process_free" | "sched_process_exit" => ("pid", 24),
            "sched_process_fork" => ("child_pid", 44),
            _ => return Err(Unavailable::NotFound),
        };
        let kind = FieldKind::Int { bytes: 4, signed: true };
        let comm = TracepointField { name: "comm".into(), offset: 8, kind: FieldKind::CharArray { len: 16 } };
        let fields = vec![comm, TracepointField { name: field.into(), offset, kind }];
        Ok(TracepointFormat { fields, source: FormatSource::BuiltIn })
    }

    fn tracepoints(&self) -> Vec<(String, String)> {
        ["fork", "exit", "free"].map(|end| ("sched".into(), format!("sched_process_{end}"))).into()
    }

    fn function(&self, _: &str) -> Result<Signature, Unavailable> {
        Err(Unavailable::NotFound)
    }

    fn functions(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn raw_tracepoint(&self, _: &str) -> Result<Signature, Unavailable> {
        Err(Unavailable::NotFound)
    }

    fn structure(&self, _: &str) -> Result<StructId, Unavailable> {
        Err(Unavailable::NotFound)
    }

    fn members(&self, _: StructId) -> Result<Vec<StructMember>, Unavailable> {
        Err(Unavailable::NotFound)
    }

    fn enumerator(&self, _: &str) -> Result<i128, Unavailable> {
        Err(Unavailable::NotFound)
    }

    fn symbol_address(&self, _: &str) -> Result<u64, Unavailable> {
        Err(Unavailable::NotFound)
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

const PAGEFAULT: &str = include_str!("../../scripts/pagefault.pf");

/// Instructions of the probe with `log_step` set to `step`.
fn instructions(step: i128) -> usize {
    let source = SourceFile::new("pagefault.pf", PAGEFAULT);
    let script = parse(&source).expect("the script is well formed");
    let options = Options { params: vec![("log_step".into(), ParamValue::Int(step))], ..Options::default() };
    let artifact = compile(&source, &script, &Upstream, &options).expect("it compiles");
    let lengths = artifact.manifest.targets[0].alternatives.iter().map(|program| program.inst_spans.len());
    lengths.max().expect("the probe has alternatives")
}

#[test]
fn the_probe_is_short_at_every_kind_of_step() {
    // 60 count and send; the others stage the record in a burst.
    for step in [1, 2, 3, 7, 50, 64, 70, 1 << 40, i128::from(i64::MAX)] {
        let count = instructions(step);
        assert!(count <= 110, "{count} instructions at step {step}");
    }
}

#[test]
fn no_step_is_divided_by() {
    let source = SourceFile::new("pagefault.pf", PAGEFAULT);
    let script = parse(&source).expect("the script is well formed");
    let ir = dump_ir(&script, &Upstream, &Options::default(), None).expect("it compiles");
    assert!(!ir.contains("urem") && !ir.contains("udiv"), "{ir}");
}

#[test]
fn the_record_is_known_to_be_a_sequence_of_counts() {
    let source = SourceFile::new("pagefault.pf", PAGEFAULT);
    let script = parse(&source).expect("the script is well formed");
    let artifact = compile(&source, &script, &Upstream, &Options::default()).expect("it compiles");
    let Action::Emit { sequence } = &artifact.manifest.records[0].action else { panic!("the first record is emit's") };
    assert_eq!(*sequence, Some(Sequence { key: vec![1], count: 3 }));
}
