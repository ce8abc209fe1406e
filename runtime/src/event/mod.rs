//! From the bytes of the perf buffers to events in order.

pub mod decode;
