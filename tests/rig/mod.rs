//! What the tests share: needs that a machine may lack, and the truth about reported counts.

pub mod multiples;
pub mod need;
