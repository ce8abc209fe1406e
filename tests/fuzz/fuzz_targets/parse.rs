//! Whatever the text, the parser answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| pfscript_grammar::soundness::check(text));
