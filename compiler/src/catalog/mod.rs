//! What a script may name, one row each: syntax, documentation, type, and where the value comes
//! from. Nothing outside this folder compares names.

use std::cmp::Reverse;

pub mod absent;
pub mod builtins;
pub mod codes;
pub mod functions;
pub mod helpers;
pub mod probe_kinds;
pub mod reference;

/// Names beyond this have no near ones: the distance costs their length squared.
const LONGEST: usize = 64;

/// The candidate that was probably meant by `name`, if one is near enough.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None; // nobody meant anything by it
    }
    let allowed = (name.chars().count() / 3).max(1);
    let near = |candidate: &'a str| {
        let distance = strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase());
        // Of two as near, the longer: a letter is sooner forgotten than added.
        (distance <= allowed).then_some((distance, Reverse(candidate.len()), candidate))
    };
    candidates.into_iter().filter_map(near).min().map(|(_, _, candidate)| candidate)
}
