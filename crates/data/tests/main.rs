//! Tests of the crate, one module a subject.

mod digits;
mod random;
mod split;
mod toy;
