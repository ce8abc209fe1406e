//! Every script of `scripts/` at a known work, as `live` does it on the host.

use std::sync::LazyLock;

use super::{Case, Needs};
use crate::machine::Transcript;
use crate::rig::toolbox::{TOOLBOX, Tool};

/// A case for each script.
pub static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| TOOLBOX.iter().map(case).collect());

/// It lives as long as the rows of the other tables: to the end.
fn case(tool: &'static Tool) -> Case {
    let commands = format!("work() {{\n{}\n}}\ntool {} {}\n", tool.work, tool.name, tool.arguments);
    Case {
        name: Box::leak(format!("script_{}", tool.name).into_boxed_str()),
        needs: Needs::Guest,
        commands: Box::leak(commands.into_boxed_str()),
        check: Box::leak(Box::new(|seen: &Transcript| tool.check(&seen.lines.join("\n")))),
    }
}
