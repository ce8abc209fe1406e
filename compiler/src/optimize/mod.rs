//! The passes on the IR, and the order in which they run.
//!
//! A pass is a function on `&mut Function`, in a file of its name. The upper-level passes know map
//! elements, strings and records as operands; `expand_*` turns those into calls, loads, stores and
//! branches; the lower-level passes clean up behind it. The verifier runs after each in debug builds.

mod assume_growing_counts;
mod divide_by_constant;
mod eliminate_dead_code;
mod eliminate_dead_stores;
mod expand;
mod find_sequences;
mod fold_constants;
mod forward_map_values;
mod rewrite;
mod share_stack_slots;
mod share_values;
mod straighten_blocks;

use crate::ir::verify::{Level, verify};
use crate::ir::{Function, Module, Tables};

/// A pass by its name.
struct Pass {
    /// As `--dump-ir=NAME` knows it.
    name: &'static str,
    /// The level of the IR behind it.
    level: Level,
    run: fn(&mut Function, &mut Tables),
}

const fn pass(name: &'static str, level: Level, run: fn(&mut Function, &mut Tables)) -> Pass {
    Pass { name, level, run }
}

/// All passes in their order.
static PASSES: &[Pass] = &[
    pass("lower", Level::Upper, |_, _| {}), // nothing yet: the IR as lowering makes it
    pass("fold_constants", Level::Upper, |func, _| fold_constants::fold_constants(func)),
    pass("share_values", Level::Upper, |func, _| share_values::share_values(func)),
    pass("forward_map_values", Level::Upper, |func, _| forward_map_values::forward_map_values(func)),
    pass("assume_growing_counts", Level::Upper, assume_growing_counts::assume_growing_counts),
    pass("eliminate_dead_code", Level::Upper, |func, _| eliminate_dead_code::eliminate_dead_code(func)),
    pass("divide_by_constant", Level::Upper, divide_by_constant::divide_by_constant),
    pass("fold_constants_again", Level::Upper, |func, _| fold_constants::fold_constants(func)),
    pass("straighten_blocks", Level::Upper, |func, _| straighten_blocks::straighten_blocks(func)),
    pass("share_values_again", Level::Upper, |func, _| share_values::share_values(func)),
    pass("eliminate_dead_code_again", Level::Upper, |func, _| eliminate_dead_code::eliminate_dead_code(func)),
    pass("find_sequences", Level::Upper, find_sequences::find_sequences),
    pass("expand", Level::Lower, expand::expand),
    pass("fold_expanded", Level::Lower, |func, _| fold_constants::fold_constants(func)),
    pass("straighten_expanded", Level::Lower, |func, _| straighten_blocks::straighten_blocks(func)),
    pass("eliminate_expanded", Level::Lower, |func, _| eliminate_dead_code::eliminate_dead_code(func)),
    pass("eliminate_dead_stores", Level::Lower, |func, _| eliminate_dead_stores::eliminate_dead_stores(func)),
    pass("share_stack_slots", Level::Lower, |func, _| share_stack_slots::share_stack_slots(func)),
];

/// The names of the passes, in their order: what `--dump-ir=NAME` takes.
pub fn pass_names() -> impl Iterator<Item = &'static str> {
    PASSES.iter().map(|pass| pass.name)
}

/// Runs all passes, up to and including the one called `last`.
pub fn optimize(mut module: Module, last: Option<&str>) -> Module {
    module.note_growing_maps();
    module.note_shrinking_maps();
    let end = PASSES.iter().position(|pass| Some(pass.name) == last).map_or(PASSES.len(), |index| index + 1);
    for pass in &PASSES[..end] {
        for func in module.functions.iter_mut().chain(&mut module.callbacks).chain(&mut module.flush) {
            (pass.run)(func, &mut module.tables);
            debug_verify(func, pass);
        }
    }
    module
}

fn debug_verify(func: &Function, pass: &Pass) {
    if cfg!(debug_assertions)
        && let Err(broken) = verify(func, pass.level)
    {
        panic!("{} is broken after {}: {broken}", func.name, pass.name);
    }
}
