//! How compile time grows: scripts of 10 to 5000 statements of several shapes, compiled without a
//! kernel. The table is that of docs/compile-time.md. A script that is too long for eBPF's jumps is
//! refused by the last stage but one, and timed all the same; any other refusal ends the run. What
//! is measured is the time that the thread had a processor.
//!
//! `cargo bench --bench compile`, with `-- SHAPE` for one shape only.

use std::time::Duration;

use pfscript::kernel::Kernel;
use pfscript_compiler::{Options, compile};
use pfscript_grammar::{Severity, SourceFile, parse};

/// Statements of each script.
const SIZES: [usize; 4] = [10, 100, 1000, 5000];
/// Each script is compiled for so long, and at least five times; the shortest time counts, for what
/// else the machine does only adds to it.
const PATIENCE: Duration = Duration::from_millis(1000);

/// The code of a program that is too long.
const TOO_LONG: &str = "PF0602";

/// A way to write as many statements as wanted.
struct Shape {
    name: &'static str,
    statement: fn(usize) -> String,
}

const SHAPES: &[Shape] = &[
    Shape { name: "counts in one map", statement: |n| format!("@m[{n}]++;") },
    Shape { name: "stores to maps of their own", statement: |n| format!("@m{n}[pid] = nsecs;") },
    Shape { name: "variables", statement: |n| format!("$v{n} = pid * {n} + tid; $x = $v{n} ^ $x;") },
    Shape { name: "branches", statement: |n| format!("if (pid == {n}) {{ @m[tid] = {n}; }} else {{ $x++; }}") },
    Shape { name: "branches in branches", statement: nested },
    Shape { name: "every", statement: |n| format!("@m[{n}]++; every 7 of @m[{n}] {{ $x += @m[{n}]; }}") },
    Shape { name: "printf", statement: |n| format!("printf(\"%d %d %s\\n\", pid, {n}, comm);") },
    Shape { name: "strings", statement: |n| format!("if (comm == \"name {n}\") {{ @m[comm, {n}]++; }}") },
    Shape { name: "known branches", statement: |n| format!("if ($x == {n}) {{ $x = {n} + 1; }}") },
    Shape { name: "counts among branches", statement: |n| format!("if (pid > {n}) {{ $x++; }} @m{n}[pid]++;") },
    Shape { name: "loops", statement: |n| format!("for ($i : 0..{n}) {{ @m[$i] += $i; }}") },
];

/// Fifty deep, then again from the start.
fn nested(number: usize) -> String {
    match number % 50 {
        49 => format!("$x = {number}; {}", "}".repeat(49)),
        _ => format!("if (pid > {number}) {{ @m[{number}] = $x;"),
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("| statements |{} growth of the last step |", SIZES.map(|size| format!(" {size} |")).concat());
    println!("|---|{}---|", "---:|".repeat(SIZES.len()));
    for shape in SHAPES.iter().filter(|shape| wanted.is_empty() || wanted.iter().any(|word| shape.name.contains(word)))
    {
        let times = SIZES.map(|size| shortest(&script(shape, size)));
        let cells = times.map(|time| format!(" {:.2} ms |", time.as_secs_f64() * 1000.0)).concat();
        let growth = times[SIZES.len() - 1].as_secs_f64() / times[SIZES.len() - 2].as_secs_f64();
        println!("| {} |{cells} {growth:.1} |", shape.name);
    }
}

fn script(shape: &Shape, statements: usize) -> String {
    let body: Vec<String> = (0..statements).map(shape.statement).collect();
    let body = body.join("\n    ");
    let unclosed = body.matches('{').count() - body.matches('}').count();
    format!("software:page-faults:1 {{\n    $x = tid;\n    {body}{}\n    @x = $x;\n}}\n", "}".repeat(unclosed))
}

fn shortest(text: &str) -> Duration {
    let start = processor_time();
    let mut times = Vec::new();
    while times.len() < 5 || (processor_time() - start < PATIENCE && times.len() < 100) {
        times.push(compile_once(text));
    }
    times.into_iter().min().expect("there are at least five")
}

fn compile_once(text: &str) -> Duration {
    let start = processor_time();
    let source = SourceFile::new("bench.pf", text);
    let script = parse(&source).unwrap_or_else(|wrong| panic!("{}: {}", wrong[0].code.0, wrong[0].message));
    let artifact = compile(&source, &script, &Kernel::new(), &Options::default());
    let time = processor_time() - start;
    if let Err(wrong) = artifact {
        let errors = wrong.iter().filter(|found| found.severity == Severity::Error);
        errors.for_each(|found| assert_eq!(found.code.0, TOO_LONG, "{}", found.message));
    }
    time
}

/// How long this thread has run: what else the machine does does not count.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable, and the clock is one that every Linux has.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0, "the clock is there");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
