//! The bytecode of an artifact for reading: hexadecimal bytes, the verifier's notation, and the
//! script's lines between. What is shown is decoded from the object itself.

use std::fmt::Write;

use pfscript_grammar::{SourceFile, Span};

use crate::artifact::Artifact;
use crate::bpf::decode::decode;
use crate::bpf::disasm::disassemble;
use crate::bpf::encode::SLOT_BYTES;
use crate::bpf::inst::Inst;
use crate::manifest::{CALLBACKS_SECTION, COUNTERS_SECTION, Program};
use crate::read_object::{ObjectProgram, read_programs};

/// All programs of `artifact`, which `source` was compiled to. Lines that begin with `;` are
/// comments.
pub fn dump_bytecode(artifact: &Artifact, source: &SourceFile) -> String {
    let programs = read_programs(&artifact.object).expect("an artifact holds an object of this compiler");
    let mut out = String::new();
    for note in &artifact.manifest.notes {
        line(&mut out, format_args!("; note: {note}"));
    }
    let dump = Dump { programs: &programs, source };
    for target in &artifact.manifest.targets {
        let count = target.alternatives.len();
        for (index, program) in target.alternatives.iter().enumerate() {
            let which = if count > 1 { format!(" (alternative {} of {count})", index + 1) } else { String::new() };
            dump.program(&mut out, program, &which);
        }
    }
    if let Some(flush) = &artifact.manifest.flush {
        dump.program(&mut out, flush, ", which sends what the others have staged");
    }
    out
}

fn heading(out: &mut String, program: &Program, code: &ObjectProgram, which: &str) {
    line(out, format_args!("; {}{which}", program.probe));
    let (symbol, section) = (&program.symbol, &program.section);
    line(out, format_args!("; program {symbol} in section {section}: {}", instructions(code)));
}

fn instructions(code: &ObjectProgram) -> String {
    let count = code.bytes.len() / SLOT_BYTES;
    format!("{count} instruction{}", if count == 1 { "" } else { "s" })
}

struct Dump<'a> {
    programs: &'a [ObjectProgram<'a>],
    source: &'a SourceFile,
}

impl Dump<'_> {
    fn program(&self, out: &mut String, program: &Program, which: &str) {
        if !out.is_empty() {
            out.push('\n');
        }
        let code = self.code(&program.symbol);
        heading(out, program, code, which);
        let mut spans = self.body(out, &program.inst_spans, code);
        for name in &program.callbacks {
            let code = self.code(name);
            line(out, format_args!("; function {name}, called by the kernel: {}", instructions(code)));
            spans = self.body(out, spans, code);
        }
    }

    fn code(&self, symbol: &str) -> &ObjectProgram<'_> {
        let code = self.programs.iter().find(|code| code.symbol == symbol);
        code.expect("the object has a symbol for every program and callback of the manifest")
    }

    /// Shows `code`, whose places are the first of `spans`; the answer is the others.
    fn body<'s>(&self, out: &mut String, spans: &'s [Span], code: &ObjectProgram) -> &'s [Span] {
        let mut slots = code.bytes.chunks(SLOT_BYTES).enumerate();
        let mut last_line = None;
        while let Some((slot, bytes)) = slots.next() {
            let span = spans.get(slot).copied().unwrap_or_default();
            script_line(out, span, self.source, &mut last_line);
            let inst =
                decode(&code.bytes[slot * SLOT_BYTES..]).expect("an artifact holds instructions of this compiler");
            let address = code.addresses.iter().find(|(at, _)| *at == slot);
            let symbol = address.map(|&(_, symbol)| self.address(symbol, inst));
            line(out, format_args!("{slot:>4}: {}  {}", hex(bytes), disassemble(inst, symbol.as_deref())));
            for (slot, bytes) in slots.by_ref().take(inst.slots() - 1) {
                line(out, format_args!("{slot:>4}: {}", hex(bytes)));
            }
        }
        spans.get(code.bytes.len() / SLOT_BYTES..).unwrap_or_default()
    }

    /// As the verifier names it, with the symbol for the number that the map has once it is
    /// created, or for a callback.
    fn address(&self, symbol: &str, inst: Inst) -> String {
        let Inst::LoadImm64 { imm, .. } = inst else { return format!("map[{symbol}]") };
        let mut callbacks = self.programs.iter().filter(|code| code.section == CALLBACKS_SECTION);
        match callbacks.find(|code| code.section == symbol && code.start == imm as u64) {
            Some(callback) => format!("func[{}]", callback.symbol),
            None if symbol == COUNTERS_SECTION => format!("map[{symbol}]+{imm}"),
            None => format!("map[{symbol}]"),
        }
    }
}

/// The line that `span` begins in, unless it is the one shown last.
fn script_line(out: &mut String, span: Span, source: &SourceFile, last: &mut Option<usize>) {
    let number = source.line_column(span.start).line;
    if last.replace(number) != Some(number) {
        line(out, format_args!("; {}:{number}: {}", source.name(), source.line(number).trim()));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    writeln!(out, "{text}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen_tests::{compile, page_fault};
    use crate::manifest::{AttachSpec, Manifest, Target};
    use crate::write_object::{ObjectSpec, ProgramCode, write_object};

    fn artifact(source: &SourceFile) -> Artifact {
        let code = compile(&page_fault::page_fault("any"));
        let maps = vec![page_fault::faults_map()];
        let program = |symbol: &str, probe: &str| Program {
            symbol: symbol.into(),
            section: "perf_event".into(),
            attach: AttachSpec::Begin,
            probe: probe.into(),
            span: Span::new(0, 24),
            inst_spans: code.spans.clone(),
            callbacks: Vec::new(),
        };
        let alternatives = vec![program("one", "software:page-faults:1"), program("two", "software:page-faults:2")];
        let programs = ["one", "two"].map(|symbol| ProgramCode { symbol, section: "perf_event", bytecode: &code });
        let object = write_object(&ObjectSpec {
            programs: programs.into(),
            callbacks: Vec::new(),
            maps: &maps,
            has_events: true,
            stack_depths: &std::collections::BTreeSet::new(),
            has_stage: false,
            bss_size: 16,
            source,
        });
        let targets = vec![Target { alternatives, span: Span::new(0, 24) }];
        let manifest = Manifest { targets, maps, bss_size: 16, notes: vec!["a remark".into()], ..Manifest::default() };
        Artifact { object, manifest, warnings: Vec::new() }
    }

    #[test]
    fn instructions_stand_below_their_lines() {
        let source = page_fault::source();
        let dump = dump_bytecode(&artifact(&source), &source);
        let lines: Vec<&str> = dump.lines().collect();
        assert_eq!(lines[..3], ["; note: a remark", "", "; software:page-faults:1 (alternative 1 of 2)"]);
        assert!(lines[3].starts_with("; program one in section perf_event: "), "{}", lines[3]);
        assert_eq!(lines[4], "; fixture.pf:2: @faults[pid]++;");
        assert!(lines.contains(&"   1: 85 00 00 00 0e 00 00 00  call bpf_get_current_pid_tgid#14"), "{dump}");
        assert!(lines.iter().any(|line| line.ends_with("18 01 00 00 00 00 00 00  r1 = map[faults]")), "{dump}");
        assert!(lines.iter().any(|line| line.ends_with("= map[.bss]+8")), "{dump}");
        assert!(lines.contains(&"; software:page-faults:2 (alternative 2 of 2)"), "{dump}");
    }

    #[test]
    fn every_slot_is_shown_with_its_bytes() {
        let source = page_fault::source();
        let artifact = artifact(&source);
        let dump = dump_bytecode(&artifact, &source);
        let shown: Vec<u8> = dump
            .lines()
            .filter(|line| !line.starts_with(';') && !line.is_empty())
            .flat_map(|line| line[6..29].split(' '))
            .map(|byte| u8::from_str_radix(byte, 16).expect("two digits"))
            .collect();
        let programs = read_programs(&artifact.object).expect("an object");
        assert_eq!(shown, programs.iter().flat_map(|program| program.bytes).copied().collect::<Vec<u8>>());
    }
}
