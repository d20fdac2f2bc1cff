//! The rsachat program.

fn main() {}
