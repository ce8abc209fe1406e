//! Whatever the script, the compiler answers.
#![no_main]

#[path = "../fixed_kernel.rs"]
mod fixed_kernel;

use libfuzzer_sys::fuzz_target;
use pfscript_compiler::{Options, compile};
use pfscript_grammar::{SourceFile, parse};

fuzz_target!(|text: &str| {
    let source = SourceFile::new("fuzz.pf", text);
    if let Ok(script) = parse(&source) {
        // A refusal is an answer as good as an object.
        let _ = compile(&source, &script, &fixed_kernel::FixedKernel, &Options::default());
    }
});
