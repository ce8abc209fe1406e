//! What showing a value takes beside its bytes: the clock, and the names of addresses.

use crate::output::time::Clock;
use crate::symbols::stacks::Stacks;
use crate::symbols::users::Users;

/// What all forms share.
#[derive(Default)]
pub struct Context {
    /// Local wall-clock time.
    pub clock: Clock,
    /// The stacks that values refer to.
    pub stacks: Stacks,
    /// The names of users.
    pub users: Users,
}
