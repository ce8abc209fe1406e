//! The bytecode of an artifact for reading: hexadecimal bytes, the verifier's notation, and the
//! script's lines between. What is shown is decoded from the object itself.

use std::fmt::Write;

use pfscript_grammar::{SourceFile, Span};

use crate::artifact::Artifact;
use crate::bpf::decode::decode;
use crate::bpf::disasm::disassemble;
use crate::bpf::encode::SLOT_BYTES;
use crate::bpf::inst::Inst;
use crate::manifest::{COUNTERS_SECTION, Program};
use crate::read_object::{ObjectProgram, read_programs};

/// All programs of `artifact`, which `source` was compiled to. Lines that begin with `;` are
/// comments.
pub fn dump_bytecode(artifact: &Artifact, source: &SourceFile) -> String {
    let programs = read_programs(&artifact.object).expect("an artifact holds an object of this compiler");
    let mut out = String::new();
    for note in &artifact.manifest.notes {
        line(&mut out, format_args!("; note: {note}"));
    }
    for target in &artifact.manifest.targets {
        let count = target.alternatives.len();
        for (index, program) in target.alternatives.iter().enumerate() {
            let which = if count > 1 { format!(" (alternative {} of {count})", index + 1) } else { String::new() };
            let code = programs.iter().find(|code| code.symbol == program.symbol);
            let code = code.expect("the object has a symbol for every program of the manifest");
            if !out.is_empty() {
                out.push('\n');
            }
            heading(&mut out, program, code, &which);
            body(&mut out, program, code, source);
        }
    }
    out
}

fn heading(out: &mut String, program: &Program, code: &ObjectProgram, which: &str) {
    line(out, format_args!("; {}{which}", program.probe));
    let count = code.bytes.len() / SLOT_BYTES;
    let plural = if count == 1 { "" } else { "s" };
    let (symbol, section) = (&program.symbol, &program.section);
    line(out, format_args!("; program {symbol} in section {section}: {count} instruction{plural}"));
}

fn body(out: &mut String, program: &Program, code: &ObjectProgram, source: &SourceFile) {
    let mut slots = code.bytes.chunks(SLOT_BYTES).enumerate();
    let mut last_line = None;
    while let Some((slot, bytes)) = slots.next() {
        let span = program.inst_spans.get(slot).copied().unwrap_or_default();
        script_line(out, span, source, &mut last_line);
        let inst = decode(&code.bytes[slot * SLOT_BYTES..]).expect("an artifact holds instructions of this compiler");
        let symbol = code.addresses.iter().find(|(at, _)| *at == slot).map(|&(_, symbol)| address(symbol, inst));
        line(out, format_args!("{slot:>4}: {}  {}", hex(bytes), disassemble(inst, symbol.as_deref())));
        for (slot, bytes) in slots.by_ref().take(inst.slots() - 1) {
            line(out, format_args!("{slot:>4}: {}", hex(bytes)));
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

/// As the verifier names it, with the symbol for the number that the map has once it is created.
fn address(symbol: &str, inst: Inst) -> String {
    match inst {
        Inst::LoadImm64 { imm, .. } if symbol == COUNTERS_SECTION => format!("map[{symbol}]+{imm}"),
        _ => format!("map[{symbol}]"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    writeln!(out, "{text}").expect("writing to a string does not fail");
}
