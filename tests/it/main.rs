//! Tests of the program as its users run it, in one binary.

mod generated;
