//! The main script, compiled without any machine behind it.

use pfscript_compiler::kernel::{FieldKind, FormatSource, TracepointField, TracepointFormat, Unavailable};
use pfscript_compiler::manifest::AttachSpec;
use pfscript_compiler::{KernelInfo, Options, compile, dump_ir};
use pfscript_grammar::{SourceFile, parse};

struct Upstream;

impl KernelInfo for Upstream {
    fn tracepoint(&self, _: &str, name: &str) -> Result<TracepointFormat, Unavailable> {
        let pid = TracepointField { name: "pid".into(), offset: 24, kind: FieldKind::Int { bytes: 4, signed: true } };
        match name {
            "sched_process_free" => Ok(TracepointFormat { fields: vec![pid], source: FormatSource::BuiltIn }),
            _ => Err(Unavailable::NotFound),
        }
    }

    fn tracepoints(&self) -> Vec<(String, String)> {
        vec![("sched".into(), "sched_process_free".into())]
    }

    fn offers(&self, _: &AttachSpec) -> Result<(), Unavailable> {
        Ok(())
    }

    fn release(&self) -> (u32, u32) {
        (6, 1)
    }
}

const PAGEFAULT: &str = include_str!("../../scripts/pagefault.pf");

#[test]
fn pagefault_compiles() {
    let source = SourceFile::new("pagefault.pf", PAGEFAULT);
    let script = parse(&source).expect("the script is well formed");
    let options = Options::default();
    println!("{}", dump_ir(&script, &Upstream, &options, Some("find_sequences")).expect("it compiles"));
    println!("{}", dump_ir(&script, &Upstream, &options, None).expect("it compiles"));
    let artifact = compile(&source, &script, &Upstream, &options).expect("it compiles");
    for program in artifact.manifest.targets.iter().flat_map(|target| &target.alternatives) {
        println!("{}: {} instructions", program.symbol, program.inst_spans.len());
        assert!(program.inst_spans.len() <= 99, "{} has {} instructions", program.symbol, program.inst_spans.len());
    }
    println!("{:#?}", artifact.manifest.records);
    if let Some(path) = option_env!("PFSCRIPT_TEST_OBJECT") {
        std::fs::write(path, &artifact.object).expect("the object can be written");
    }
}
