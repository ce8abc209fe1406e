//! The parser answers to any text: soon, without a panic, within the stack of a test's thread.

use std::path::Path;
use std::time::{Duration, Instant};

use pfscript_grammar::{Code, MAX_DEPTH, MAX_SCRIPT_BYTES, SourceFile, codes, parse, soundness};

/// A small generator of numbers: the same in every run, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn code_of(text: &str) -> Option<Code> {
    let started = Instant::now();
    let errors = parse(&SourceFile::new("test", text)).err();
    // Far more than is needed even without optimisation: only a hang or worse takes longer.
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
    errors.map(|errors| errors[0].code)
}

fn in_probe(statement: &str) -> String {
    format!("BEGIN {{ {statement}; }}")
}

type Form = fn(usize) -> String;

/// Forms that nest, as functions of how often.
fn nested_forms() -> Vec<(&'static str, Form)> {
    vec![
        ("parentheses", |n| in_probe(&format!("$x = {}1{}", "(".repeat(n), ")".repeat(n)))),
        ("map keys", |n| in_probe(&format!("$x = {}1{}", "@[".repeat(n), "]".repeat(n)))),
        ("calls", |n| in_probe(&format!("{}{}", "f(".repeat(n), ")".repeat(n)))),
        ("tuples", |n| in_probe(&format!("$x = {}1{}", "(1, ".repeat(n), ")".repeat(n)))),
        ("casts", |n| in_probe(&format!("$x = {}1", "(uint8)".repeat(n)))),
        ("casts in parentheses", |n| in_probe(&format!("$x = {}1{}", "(uint8)(".repeat(n), ")".repeat(n)))),
        ("negations", |n| in_probe(&format!("$x = {}1", "!".repeat(n)))),
        ("minus signs", |n| in_probe(&format!("$x = {}1", "- ".repeat(n)))),
        ("sums", |n| in_probe(&format!("$x = 1{}", " + 1".repeat(n)))),
        ("fields", |n| in_probe(&format!("$x = a{}", ".b".repeat(n)))),
        ("indices", |n| in_probe(&format!("$x = $a{}", "[1]".repeat(n)))),
        ("ternaries to the right", |n| in_probe(&format!("$x = {}1", "a ? b : ".repeat(n)))),
        ("ternaries inside", |n| in_probe(&format!("$x = {}1{}", "a ? ".repeat(n), " : 1".repeat(n)))),
        ("blocks", |n| format!("BEGIN {} {}", "{".repeat(n), "}".repeat(n))),
        ("ifs", |n| in_probe(&format!("{}{}", "if a { ".repeat(n), "}".repeat(n)))),
        ("else ifs", |n| in_probe(&format!("if a {{ }} {}", "else if a { } ".repeat(n)))),
        ("everys", |n| in_probe(&format!("{}{}", "every 1 of a { ".repeat(n), "}".repeat(n)))),
        ("every as a name", |n| in_probe(&format!("{}1{}", "every (".repeat(n), ")".repeat(n)))),
    ]
}

#[test]
fn what_nests_below_the_limit_parses() {
    for (what, form) in nested_forms() {
        assert_eq!(code_of(&form(MAX_DEPTH as usize - 10)), None, "{what}");
    }
}

#[test]
fn what_nests_too_deep_is_refused_in_words() {
    for (what, form) in nested_forms() {
        for times in [MAX_DEPTH as usize + 10, 5_000] {
            assert_eq!(code_of(&form(times)), Some(codes::DEPTH), "{what} {times}");
        }
    }
}

#[test]
fn what_nests_without_an_end_is_refused() {
    for open in
        ["(", "[", "{", "@[", "f(", "(uint8)", "!", "if a {", "a ? ", "/*", "\"", "1 +", "BEGIN {", "/", "or ", ":"]
    {
        for times in [150, 5_000] {
            assert!(code_of(&open.repeat(times)).is_some(), "{open}");
            assert!(code_of(&in_probe(&open.repeat(times))).is_some(), "{open}");
        }
    }
}

#[test]
fn a_mistake_deep_inside_is_found_soon() {
    for (what, form) in nested_forms() {
        let mut text = form(150);
        text.insert_str(text.len() / 2, " = = ");
        assert!(code_of(&text).is_some(), "{what}");
    }
}

#[test]
fn combined_limits_keep_within_the_stack() {
    let depth = MAX_DEPTH as usize - 10;
    let chain = "else if a { } ".repeat(depth / 2);
    let blocks = "if a { ".repeat(depth / 2 - 5);
    let text =
        in_probe(&format!("{blocks} if a {{ }} {chain} $x = 1{} {}", " + 1".repeat(depth), "}".repeat(depth / 2 - 5)));
    soundness::check(&text);
    assert_eq!(code_of(&text), None);
}

#[test]
fn large_scripts_are_answered() {
    let line = |length: usize| format!("BEGIN {{ {} }}", "@a[pid]++; ".repeat(length / 11));
    assert_eq!(code_of(&line(10 << 20)), Some(codes::SIZE));
    assert_eq!(code_of(&line(200 << 10)), None);
    assert!(code_of(&"a".repeat(MAX_SCRIPT_BYTES)).is_some());
    assert!(code_of(&"$x = ; ".repeat(MAX_SCRIPT_BYTES / 7)).is_some());
    assert!(code_of(&in_probe(&"$x = ; ".repeat(MAX_SCRIPT_BYTES / 8))).is_some());
    assert!(code_of(&"\u{201C}".repeat(MAX_SCRIPT_BYTES / 3)).is_some());
    assert!(code_of(&"}".repeat(MAX_SCRIPT_BYTES)).is_some());
    assert!(code_of(&"{}".repeat(MAX_SCRIPT_BYTES / 2)).is_some());
    let nested = format!("BEGIN {} {} $x = ; {}", "{".repeat(190), "@a++; ".repeat(10_000), "}".repeat(190));
    assert!(code_of(&nested).is_some());
}

/// Texts to begin from: the cases of the folder, good and bad.
fn seeds() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/syntax");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    paths.sort();
    let scripts = paths.iter().filter(|path| path.extension().is_some_and(|ext| ext == "pf"));
    scripts.map(|path| std::fs::read_to_string(path).expect("a script is text")).collect()
}

const FRAGMENTS: [&str; 40] = [
    "(", ")", "[", "]", "{", "}", ";", ",", ":", "?", "/", "//", "/*", "*/", "\"", "\\", "@", "$", "$#", "#!",
    "#include", "=", "==", "..", "..=", "->", "++", "if ", "else ", "for ", "every ", " of ", " or ", "param ", "let ",
    "0x", "é", "\u{201C}", "\u{0}", "\n",
];

fn mutate(text: &mut Vec<char>, random: &mut Random) {
    let (from, length) = (random.below(text.len() + 1), random.below(12));
    let to = (from + length).min(text.len());
    match random.below(4) {
        0 => drop(text.drain(from..to)),
        1 => {
            let copy = text[from..to].to_vec();
            let at = random.below(text.len() + 1);
            text.splice(at..at, copy);
        }
        _ => drop(text.splice(from..from, FRAGMENTS[random.below(FRAGMENTS.len())].chars())),
    }
}

#[test]
fn mutated_scripts_are_answered() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for seed in seeds() {
        for _ in 0..25 {
            let mut text: Vec<char> = seed.chars().collect();
            for _ in 0..=random.below(6) {
                mutate(&mut text, &mut random);
            }
            soundness::check(&text.into_iter().collect::<String>());
        }
    }
}

#[test]
fn soup_is_answered() {
    let mut random = Random(42);
    for _ in 0..1500 {
        let fragments: String = (0..random.below(40)).map(|_| FRAGMENTS[random.below(FRAGMENTS.len())]).collect();
        soundness::check(&fragments);
        soundness::check(&in_probe(&fragments));
        let bytes: Vec<u8> = (0..random.below(60)).map(|_| random.below(256) as u8).collect();
        soundness::check(&String::from_utf8_lossy(&bytes));
    }
}
