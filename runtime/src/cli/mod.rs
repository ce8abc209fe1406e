//! The command line: what was asked for, and what is said about it.

pub mod args;
pub mod complete;
pub mod explain;
pub mod list;
pub mod options;
pub mod report;
pub mod run;
pub mod scan;
pub mod script;
pub mod status;
pub mod values;
