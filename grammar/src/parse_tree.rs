//! Text to pest's parse tree: the only place that runs the grammar.
//!
//! Invariant: pest recurses once per bracket and `?`, so a text comes here only after
//! [`crate::tokens::deepest_nesting`] has been asked. Should the native stack run short all the
//! same, pest itself stops with an error.

use std::sync::LazyLock;

use pest::Parser;
use pest::error::{Error, ErrorVariant, InputLocation};
use pest::iterators::Pairs;
use pest::pratt_parser::{Assoc, Op, PrattParser};

#[derive(pest_derive::Parser)]
#[grammar = "pfscript.pest"]
struct PfscriptParser;

/// What the grammar's operators bind like: loosest first, as in C.
pub(crate) static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::or))
        .op(left(Rule::and))
        .op(left(Rule::bit_or))
        .op(left(Rule::bit_xor))
        .op(left(Rule::bit_and))
        .op(left(Rule::eq) | left(Rule::ne))
        .op(left(Rule::lt) | left(Rule::le) | left(Rule::gt) | left(Rule::ge))
        .op(left(Rule::shl) | left(Rule::shr))
        .op(left(Rule::add) | left(Rule::sub))
        .op(left(Rule::mul) | left(Rule::div) | left(Rule::rem))
        .op(Op::prefix(Rule::cast)
            | Op::prefix(Rule::pre_inc)
            | Op::prefix(Rule::pre_dec)
            | Op::prefix(Rule::neg)
            | Op::prefix(Rule::not)
            | Op::prefix(Rule::bit_not)
            | Op::prefix(Rule::deref))
        .op(Op::postfix(Rule::field)
            | Op::postfix(Rule::index)
            | Op::postfix(Rule::post_inc)
            | Op::postfix(Rule::post_dec))
});

/// Where the grammar got stuck.
#[derive(Debug)]
pub(crate) struct Stuck {
    /// Byte offset into the text that was parsed.
    pub at: usize,
    /// What would have been accepted there, in words, each once, in the grammar's order.
    pub expected: Vec<&'static str>,
}

/// Parses all of `text` as `entry`: the script, or a lone item or statement of it.
pub(crate) fn parse_tree(entry: Rule, text: &str) -> Result<Pairs<'_, Rule>, Stuck> {
    PfscriptParser::parse(entry, text).map_err(|error| stuck(&error))
}

fn stuck(error: &Error<Rule>) -> Stuck {
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let rules = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.as_slice(),
        ErrorVariant::CustomError { .. } => &[],
    };
    Stuck { at, expected: expectations(rules) }
}

fn expectations(rules: &[Rule]) -> Vec<&'static str> {
    // Where a variable and an integer would do, any operand would: pest lists what begins one.
    let operand = rules.contains(&Rule::variable) && rules.contains(&Rule::integer);
    let mut expected = if operand { vec!["an expression"] } else { Vec::new() };
    let named = rules.iter().filter(|&&rule| !operand || !begins_operand(rule));
    for words in named.filter_map(|&rule| in_words(rule)) {
        if !expected.contains(&words) {
            expected.push(words);
        }
    }
    expected
}

fn begins_operand(rule: Rule) -> bool {
    use Rule::*;
    matches!(rule, variable | integer | string | map | map_name | name | bare_name | call | group | open_paren)
}

/// What a rule stands for, said to a person; nothing for what goes without saying (an operator
/// can follow any operand).
fn in_words(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::param | Rule::keyword_param => "`param`",
        Rule::map_decl | Rule::keyword_let => "`let`",
        Rule::probe | Rule::target | Rule::attach_point | Rule::probe_kind => "a probe",
        Rule::attach_part => "a part of the attach point",
        Rule::block | Rule::open_brace => "`{`",
        Rule::close_brace => "`}`",
        Rule::semicolon => "`;`",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::open_paren => "`(`",
        Rule::close_paren => "`)`",
        Rule::close_bracket => "`]`",
        Rule::assign => "`=`",
        Rule::dots => "`..`",
        Rule::keyword_in => "`in`",
        Rule::keyword_of => "`of`",
        Rule::end_predicate => "`/` and `{` (the end of the predicate)",
        Rule::range => "a range such as `1..=9`",
        Rule::help_text | Rule::string => "a string",
        Rule::integer | Rule::signed => "an integer",
        Rule::literal => "an integer or a string",
        Rule::type_name | Rule::tuple_type | Rule::struct_type | Rule::basic_type | Rule::named_type => "a type",
        Rule::name | Rule::field_name => "a name",
        Rule::variable => "a variable such as `$x`",
        Rule::map_name | Rule::map => "a map such as `@m`",
        Rule::expr | Rule::operation | Rule::group | Rule::call | Rule::bare_name | Rule::arg => "an expression",
        Rule::effect_stmt | Rule::block_stmt | Rule::if_stmt => "a statement",
        _ => return None,
    })
}
