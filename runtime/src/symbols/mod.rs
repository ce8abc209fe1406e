//! Names of addresses, and addresses of names: the only place that knows blazesym.
//!
//! Nothing is read before it is asked for.

mod ld_cache;
pub mod programs;
