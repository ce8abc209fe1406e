//! The examples of the language reference are scripts.

use pfscript_grammar::{SourceFile, parse};

#[test]
fn every_example_parses() {
    let reference = include_str!("../README.md");
    let examples: Vec<&str> =
        reference.split("```pfscript\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() > 5, "the reference has examples");
    for example in examples {
        let answer = parse(&SourceFile::new("example", example));
        assert!(answer.is_ok(), "{example}\n{:?}", answer.err());
    }
}
