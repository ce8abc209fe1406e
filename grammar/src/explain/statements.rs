//! Mistakes in statements.

use super::{Mistake, Place, describe_found, resembles};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::tokens::TokenKind;

pub(super) const MISTAKES: &[Mistake] = &[
    else_if_in_one_word,
    lonely_else,
    while_loop,
    c_style_for,
    for_in,
    inclusive_range,
    foreign_statement,
    c_declaration,
    return_with_value,
    let_without_sigil,
    map_declared_inside,
    probe_inside,
    missing_braces,
    misspelt_keyword,
    unknown_statement,
];

/// Types that C programmers begin a declaration with.
const TYPES: [&str; 21] = [
    "int", "long", "short", "char", "unsigned", "signed", "float", "double", "void", "bool", "size_t", "string",
    "auto", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
];

/// Bounds have to be known beforehand; so the loops there are.
const LOOPS: &str =
    "a loop has bounds: `for ($i : 0..10) { ... }`, `unroll (4) { ... }` or, over a map, `for ($kv : @m) { ... }`";

fn else_if_in_one_word(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let word = place.first();
    ["elif", "elseif", "elsif"]
        .contains(&word)
        .then(|| place.error_at_first(codes::SPELLING, format!("unknown keyword `{word}`")).help("write `else if`"))
}

fn lonely_else(place: &Place<'_, '_>) -> Option<Diagnostic> {
    (place.first() == "else").then(|| {
        place
            .error_at_first(codes::BRACES, "this `else` follows no `if`")
            .help("`else` stands directly behind the `}` of an `if`, without a `;` between")
    })
}

fn while_loop(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let word = place.first();
    let is_loop = ["while", "do", "loop", "until", "foreach"].contains(&word) && place.nth(1) != "=";
    is_loop.then(|| place.error_at_first(codes::FOREIGN, format!("`{word}` is not part of pfscript")).help(LOOPS))
}

/// `for ($i = 0; $i < 10; $i++)`
fn c_style_for(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let open = place.piece.start + 1;
    let close = place.outline.partner(open)?;
    let semicolon = (open..close).find(|&index| place.outline.text_of(index) == ";");
    let is_one = place.first() == "for" && semicolon.is_some();
    is_one.then(|| {
        place.error_at_first(codes::FOREIGN, "this is how C writes `for`").help(format!(
            "write `for ({}) {{ ... }}`; the upper bound is excluded",
            range_for(place).unwrap_or("$i : 0..10".into())
        ))
    })
}

/// `$i : 0..10` for `$i = 0; $i < 10`.
fn range_for(place: &Place<'_, '_>) -> Option<String> {
    let text_of = |ahead: usize| place.nth(ahead);
    let head = (2..8).map(text_of).collect::<Vec<_>>();
    match head[..] {
        [var, "=", low, ";", same, "<"] if var == same => {
            let high = text_of(8);
            (text_of(9) == ";").then(|| format!("{} : {low}..{high}", dollar(var)))
        }
        _ => None,
    }
}

fn dollar(name: &str) -> String {
    if name.starts_with('$') { name.to_owned() } else { format!("${name}") }
}

/// `for $i in 0..5`
fn for_in(place: &Place<'_, '_>) -> Option<Diagnostic> {
    (place.first() == "for" && ["in", "=", "of"].contains(&place.found()) && place.at <= place.piece.start + 3).then(
        || {
            place
                .error(codes::FOREIGN, format!("expected `:`, found `{}`", place.found()))
                .help("write `for ($i : 0..10) { ... }` or `for ($kv : @m) { ... }`")
        },
    )
}

/// `for ($i : 0..=9)`
fn inclusive_range(place: &Place<'_, '_>) -> Option<Diagnostic> {
    (place.first() == "for" && place.found() == "..=").then(|| {
        place
            .error(codes::FOREIGN, "the range of a `for` is written with `..`")
            .help("its upper bound is excluded: `0..10` runs from 0 to 9")
    })
}

fn foreign_statement(place: &Place<'_, '_>) -> Option<Diagnostic> {
    const FOREIGN: [(&str, &str); 11] = [
        ("switch", "write `if ... else if ... else`"),
        ("case", "write `if ... else if ... else`"),
        ("goto", "write `if` and blocks"),
        ("function", "scripts define no functions"),
        ("fn", "scripts define no functions"),
        ("def", "scripts define no functions"),
        ("var", "a variable is declared by its first assignment, `$x = 1;`, or by `let $x = 1;`"),
        ("const", "a variable is declared by its first assignment, `$x = 1;`; a constant of the script is a `param`"),
        ("static", "what outlives the probe is a map: `@x = 1;`"),
        ("local", "a variable is declared by its first assignment, `$x = 1;`"),
        ("global", "what outlives the probe is a map: `@x = 1;`"),
    ];
    let word = place.first();
    let next_is_operand = matches!(
        place.outline.kind_of(place.piece.start + 1)?,
        TokenKind::Word | TokenKind::Dollar | TokenKind::Open | TokenKind::At
    );
    let (_, help) = FOREIGN.iter().find(|&&(foreign, _)| foreign == word && next_is_operand)?;
    Some(place.error_at_first(codes::FOREIGN, format!("`{word}` is not part of pfscript")).help(*help))
}

/// `int x = 1;`
fn c_declaration(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let next = place.outline.kind_of(place.piece.start + 1)?;
    let is_type = TYPES.contains(&place.first()) && matches!(next, TokenKind::Word | TokenKind::Dollar);
    let is_struct = place.first() == "struct";
    (is_type || is_struct).then(|| {
        place
            .error_at_first(codes::FOREIGN, "variables are not declared as in C")
            .help("a variable gets its type from its first value: `$x = 1;`; with a type it is `let $x: uint64 = 1;`")
    })
}

fn return_with_value(place: &Place<'_, '_>) -> Option<Diagnostic> {
    (place.first() == "return" && place.at == place.piece.start + 1 && !place.on_new_line() && place.found() != "}")
        .then(|| {
            place
                .error(codes::FOREIGN, "a probe returns no value")
                .help("write `return;` to leave the probe, `exit(1);` to end the script with a code")
        })
}

/// `let x = 1`
fn let_without_sigil(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let is_one =
        place.first() == "let" && place.at == place.piece.start + 1 && place.found_kind() == Some(TokenKind::Word);
    is_one.then(|| {
        let message = format!("the variable `{}` lacks its `$`", place.found());
        place.error(codes::SIGIL, message).help(format!("write `let ${}`", place.found()))
    })
}

/// `let @m = hash(10);` in a probe
fn map_declared_inside(place: &Place<'_, '_>) -> Option<Diagnostic> {
    (place.first() == "let" && place.at == place.piece.start + 1 && place.found_kind() == Some(TokenKind::At)).then(
        || {
            place
                .error(codes::OUTSIDE, "maps are declared outside of probes")
                .help("move it to the top of the script; without a declaration a map begins with its first use")
        },
    )
}

/// `kprobe:f { }` within a body, mostly because the one before lacks its `}`.
fn probe_inside(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let is_word = place.outline.kind_of(place.piece.start) == Some(TokenKind::Word);
    let is_attach_point = is_word && place.nth(1) == ":" && place.at == place.piece.start + 1;
    let is_special = ["BEGIN", "END"].contains(&place.first()) && place.nth(1) == "{";
    let is_param = place.first() == "param" && place.outline.kind_of(place.piece.start + 1) == Some(TokenKind::Word);
    (is_attach_point || is_special || is_param).then(|| {
        let what = if is_param { "a parameter" } else { "a probe" };
        place
            .error_at_first(codes::UNEXPECTED, format!("{what} cannot stand inside of a probe"))
            .help("if it does not, a `}` is missing before it")
    })
}

/// `if (c) f();`, `else f();`
fn missing_braces(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let keyword = place.first();
    if !["if", "for", "every", "unroll"].contains(&keyword) {
        return None;
    }
    let body = after_condition(place).unwrap_or(place.at);
    let is_body = place.expects("`{`") && body == place.at && place.found_kind() != Some(TokenKind::Mark);
    if !is_body && body >= place.at.min(place.piece.end) {
        return None;
    }
    let found = place.outline.text_of(body);
    let message = if found.is_empty() {
        "expected `{`, found the end of the script".into()
    } else {
        format!("expected `{{`, found `{found}`")
    };
    let whose = if place.outline.text_of(body - 1) == "else" { "else" } else { keyword };
    Some(
        Diagnostic::error(codes::BRACES, place.outline.span_of(body), message)
            .help(format!("what belongs to `{whose}` stands in braces, even a single statement: `{{ ... }}`")),
    )
}

/// The token behind `if (...)`, if it begins a statement and cannot go on with the condition.
fn after_condition(place: &Place<'_, '_>) -> Option<usize> {
    let close = place.outline.partner(place.piece.start + 1)?;
    let next = place.outline.kind_of(close + 1)?;
    let begins = matches!(next, TokenKind::Word | TokenKind::At | TokenKind::Dollar);
    let goes_on = ["of", "and", "or", "is", "mod"].contains(&place.outline.text_of(close + 1));
    (place.nth(1) == "(" && begins && !goes_on && close < place.at).then_some(close + 1)
}

/// `fi (x) { }`, `evry 5 of @x { }`, `lett $x = 1;`
fn misspelt_keyword(place: &Place<'_, '_>) -> Option<Diagnostic> {
    const KEYWORDS: [&str; 9] = ["if", "else", "for", "return", "break", "continue", "let", "unroll", "every"];
    let is_word = place.outline.kind_of(place.piece.start) == Some(TokenKind::Word);
    let soon = place.at == place.piece.start + 1 || place.found() == "{" && !place.on_new_line();
    let word = place.first();
    let lower = word.to_ascii_lowercase();
    let meant = KEYWORDS.iter().find(|&&keyword| resembles(word, keyword) || lower == keyword && word != lower)?;
    (is_word && soon).then(|| {
        place.error_at_first(codes::SPELLING, format!("unknown keyword `{word}`")).help(format!("write `{meant}`"))
    })
}

/// `print "x";`, `hello world;`
fn unknown_statement(place: &Place<'_, '_>) -> Option<Diagnostic> {
    let is_word = place.outline.kind_of(place.piece.start) == Some(TokenKind::Word);
    if !is_word || place.at != place.piece.start + 1 || place.on_new_line() {
        return None;
    }
    let word = place.first();
    let error = place
        .error_at_first(codes::UNEXPECTED, format!("no statement begins with `{word}` and {}", describe_found(place)));
    Some(match place.found_kind()? {
        TokenKind::Str | TokenKind::Dollar | TokenKind::At | TokenKind::Number => {
            error.help(format!("the arguments of a call stand in parentheses: `{word}(...)`"))
        }
        TokenKind::Word => error.help(
            "a statement assigns (`$x = 1;`, `@m[pid]++;`), calls a function (`clear(@m);`), or begins with `if`, `for`, `unroll`, `every`, `let` or `return`",
        ),
        _ => return None,
    })
}
