//! The functions: how many arguments each takes, and which of them stand only as statements.

/// A function.
#[derive(Debug)]
pub struct FunctionRow {
    /// As the script names it.
    pub name: &'static str,
    /// How it is called.
    pub syntax: &'static str,
    /// What it does, one line.
    pub doc: &'static str,
    /// The least and the greatest number of arguments.
    pub arity: (usize, usize),
    /// What it is.
    pub kind: FunctionKind,
}

/// What a function is: the checker has one rule for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// `emit(...)`
    Emit,
    /// `printf(...)`
    Printf,
    /// `print(@m, top, div)`
    Print,
    /// `exit(code)`
    Exit,
    /// `clear(@m)`
    Clear,
    /// `zero(@m)`
    Zero,
    /// `delete(@m[k])`
    Delete,
    /// `retire(@m[k], name)`
    Retire,
    /// `summary(@m)`
    Summary,
    /// `has_key(@m[k])`
    HasKey,
    /// `find(@m, k, $x)`
    Find,
    /// `str(address)`
    Str {
        /// Of the kernel.
        kernel: bool,
    },
    /// `strncmp(a, b, n)`
    Strncmp,
    /// `strcontains(text, part)`
    Strcontains,
    /// `len(@m)`, `len(kstack)`, `len(text)`
    Len,
    /// `getopt("name", default, "help")`
    Getopt,
    /// `nsecs(kind)`
    Nsecs,
    /// `ksym(address)`, `usym(address)`
    Symbol {
        /// In the process.
        user: bool,
    },
    /// `kaddr("name")`
    Kaddr,
    /// `kstack(depth)`, `ustack(depth)`
    Stack,
    /// `strftime("format", nsecs)`
    Strftime,
    /// `assert(condition, "text")`
    Assert,
    /// `errorf(...)`, `warnf(...)`
    Complain {
        /// An error, else a warning.
        is_error: bool,
    },
    /// `time("format")`
    Time,
    /// `@m = count()` and the like: only on the right of an assignment to a map.
    Aggregate(Aggregation),
}

/// The functions that fold many values into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// How many.
    Count,
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// Their average.
    Avg,
    /// Count, average and sum.
    Stats,
    /// A histogram by powers of two.
    Hist,
    /// A histogram by equal steps.
    Lhist,
}

const ANY: usize = usize::MAX;

const fn row(
    name: &'static str,
    syntax: &'static str,
    doc: &'static str,
    arity: (usize, usize),
    kind: FunctionKind,
) -> FunctionRow {
    FunctionRow { name, syntax, doc, arity, kind }
}

use FunctionKind as Kind;

/// Every function, in alphabetical order.
pub static FUNCTIONS: &[FunctionRow] = &[
    row(
        "assert",
        "assert(condition, \"text\")",
        "when the condition does not hold, says the text and ends tracing with exit status 1",
        (2, 2),
        Kind::Assert,
    ),
    row("avg", "@m[k] = avg(n)", "average of n", (1, 1), Kind::Aggregate(Aggregation::Avg)),
    row("clear", "clear(@m)", "removes all elements of a map", (1, 1), Kind::Clear),
    row("count", "@m[k] = count()", "how often it was called", (0, 0), Kind::Aggregate(Aggregation::Count)),
    row("delete", "delete(@m[k])", "removes an element; 1 when there was one", (1, 2), Kind::Delete),
    row("emit", "emit(a, name = b, ...)", "reports one event with named fields", (1, ANY), Kind::Emit),
    row(
        "errorf",
        "errorf(\"format\", a, b, ...)",
        "says on stderr that something is wrong, beside the place in the script",
        (1, ANY),
        Kind::Complain { is_error: true },
    ),
    row("exit", "exit(code)", "ends tracing; the code is the exit status, 0 if not given", (0, 1), Kind::Exit),
    row(
        "find",
        "find(@m, k, $x)",
        "1 when the map has such an element, whose value is then assigned to the variable",
        (3, 3),
        Kind::Find,
    ),
    row(
        "getopt",
        "getopt(\"name\", default, \"help\")",
        "the value of --name; a parameter as `param` declares it",
        (1, 3),
        Kind::Getopt,
    ),
    row("has_key", "has_key(@m, k)", "1 when the map has such an element", (1, 2), Kind::HasKey),
    row("hist", "@m[k] = hist(n)", "histogram of n by powers of two", (1, 1), Kind::Aggregate(Aggregation::Hist)),
    row("kaddr", "kaddr(\"name\")", "the address of that name in the kernel", (1, 1), Kind::Kaddr),
    row(
        "kstack",
        "kstack(depth), kstack(perf), kstack(perf, depth)",
        "stack of the kernel, of at most so many frames, shown as names (`bpftrace`), as by `perf`, or `raw`",
        (1, 2),
        Kind::Stack,
    ),
    row(
        "kstr",
        "kstr(address), kstr(address, most)",
        "text at an address in the kernel, of at most so many bytes",
        (1, 2),
        Kind::Str { kernel: true },
    ),
    row("ksym", "ksym(address)", "the name of an address in the kernel", (1, 1), Kind::Symbol { user: false }),
    row(
        "len",
        "len(@m), len(kstack), len(text)",
        "how many elements a map has, frames a stack, bytes a text",
        (1, 1),
        Kind::Len,
    ),
    row(
        "lhist",
        "@m[k] = lhist(n, min, max, step)",
        "histogram of n by equal steps",
        (4, 4),
        Kind::Aggregate(Aggregation::Lhist),
    ),
    row("max", "@m[k] = max(n)", "greatest n", (1, 1), Kind::Aggregate(Aggregation::Max)),
    row("min", "@m[k] = min(n)", "least n", (1, 1), Kind::Aggregate(Aggregation::Min)),
    row("nsecs", "nsecs(monotonic) or nsecs(boot)", "nanoseconds by that clock", (1, 1), Kind::Nsecs),
    row(
        "print",
        "print(@m), print(@m, top), print(@m, top, div), print(@m[k]), print(value)",
        "prints a map, an element of it or a value",
        (1, 3),
        Kind::Print,
    ),
    row("printf", "printf(\"format\", a, b, ...)", "prints values by a format", (1, ANY), Kind::Printf),
    row(
        "retire",
        "retire(@m[k]), retire(@m[k], name)",
        "removes an element and keeps its value for summary(@m), under that name",
        (1, 2),
        Kind::Retire,
    ),
    row("stats", "@m[k] = stats(n)", "count, average and sum of n", (1, 1), Kind::Aggregate(Aggregation::Stats)),
    row(
        "str",
        "str(address), str(address, most)",
        "text at an address in the process, of at most so many bytes",
        (1, 2),
        Kind::Str { kernel: false },
    ),
    row(
        "strcontains",
        "strcontains(text, part)",
        "1 when the part is somewhere in the text, else 0",
        (2, 2),
        Kind::Strcontains,
    ),
    row(
        "strftime",
        "strftime(\"format\", nsecs)",
        "a moment as local time, for %s in printf and for emit",
        (2, 2),
        Kind::Strftime,
    ),
    row(
        "strncmp",
        "strncmp(a, b, n)",
        "0 when the first n bytes of two texts are equal, else 1",
        (3, 3),
        Kind::Strncmp,
    ),
    row("sum", "@m[k] = sum(n)", "sum of n", (1, 1), Kind::Aggregate(Aggregation::Sum)),
    row(
        "summary",
        "summary(@m)",
        "tells on stderr what the map has held: how many elements, their sum, the greatest",
        (1, 1),
        Kind::Summary,
    ),
    row(
        "time",
        "time(\"format\")",
        "prints the time, as %H:%M:%S and a newline if not said otherwise",
        (0, 1),
        Kind::Time,
    ),
    row(
        "ustack",
        "ustack(depth), ustack(perf), ustack(perf, depth)",
        "stack of the process, of at most so many frames, shown as names (`bpftrace`), as by `perf`, or `raw`",
        (1, 2),
        Kind::Stack,
    ),
    row("usym", "usym(address)", "the name of an address in the process", (1, 1), Kind::Symbol { user: true }),
    row(
        "warnf",
        "warnf(\"format\", a, b, ...)",
        "warns on stderr, beside the place in the script",
        (1, ANY),
        Kind::Complain { is_error: false },
    ),
    row("zero", "zero(@m)", "sets all elements of a map to zero", (1, 1), Kind::Zero),
];

/// The function of that name.
pub fn find(name: &str) -> Option<&'static FunctionRow> {
    FUNCTIONS.binary_search_by(|row| row.name.cmp(name)).ok().map(|index| &FUNCTIONS[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_that_find_relies_on() {
        assert!(FUNCTIONS.is_sorted_by_key(|row| row.name));
    }
}
