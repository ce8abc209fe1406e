//! pagefault.pf through the compiler's library: how long it takes, and how much comes out.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::time::Instant;

use aya_obj::{Object, ProgramSection};
use pfscript::kernel::Kernel;
use pfscript_compiler::{Artifact, Options, compile};
use pfscript_grammar::{Diagnostic, SourceFile, parse};

use crate::measure::Sample;
use crate::peer::Peer;

const SCRIPT: &str = include_str!("../../scripts/pagefault.pf");

/// Milliseconds of each of `rounds` compilations, text to object. What the compiler asks of the
/// kernel is read once, before the clock starts.
pub fn times(rounds: usize) -> Result<Vec<f64>, Box<dyn Error>> {
    let kernel = Kernel::new();
    let source = SourceFile::new("pagefault.pf", SCRIPT);
    translate(&source, &kernel).map_err(first_message)?;
    let times = (0..rounds).map(|_| {
        let begin = Instant::now();
        black_box(translate(black_box(&source), &kernel)).map_err(first_message)?;
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    });
    times.collect()
}

/// Instructions of the probe on the software event, as an object has them: of pfscript's own, or
/// of the object among the peer's files.
pub fn instructions(peer: &Peer) -> Sample {
    if let Some(object) = peer.files.iter().find(|file| file.extension().is_some_and(|extension| extension == "o")) {
        return instructions_in(&fs::read(object)?);
    }
    if peer.name != "pfscript" {
        return Ok(None);
    }
    let source = SourceFile::new("pagefault.pf", SCRIPT);
    instructions_in(&translate(&source, &Kernel::new()).map_err(first_message)?.object)
}

fn instructions_in(object: &[u8]) -> Sample {
    let object = Object::parse(object)?;
    let program = object.programs.values().find(|program| matches!(program.section, ProgramSection::PerfEvent));
    let function = program.and_then(|program| object.functions.get(&program.function_key()));
    Ok(function.map(|function| function.instructions.len() as f64))
}

fn translate(source: &SourceFile, kernel: &Kernel) -> Result<Artifact, Vec<Diagnostic>> {
    compile(source, &parse(source)?, kernel, &Options::default())
}

fn first_message(errors: Vec<Diagnostic>) -> String {
    errors.into_iter().next().map(|error| error.message).unwrap_or_default()
}
